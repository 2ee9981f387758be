/* Tells callgrind what to count: the instructions between begin() and end(). Used by counting.py. */
#include <valgrind/callgrind.h>

/* Only what is counted runs under instruments, which make it ten times as slow as valgrind alone. */
void begin(void)
{
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    CALLGRIND_TOGGLE_COLLECT;
}

void end(void)
{
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS;
    CALLGRIND_STOP_INSTRUMENTATION;
}

/* Keeps everyone else away from the queues behind a decoder while it fills them without the GIL.
 *
 * With a GIL the gate is a note that is written and read under it: to close the gate and to find it open both take the
 * GIL, so nobody can be inside when it closes, and whoever finds it closed lets the GIL go until it is open.  Passing an
 * open gate costs one load.  Where there is no GIL it is a mutex. */
#ifndef JETSOCKET_GATE_H
#define JETSOCKET_GATE_H

#include <Python.h>

#if !defined(Py_GIL_DISABLED)
#if defined(_WIN32)
#include <windows.h>
#define GATE_YIELD() SwitchToThread()
#else
#include <sched.h>
#define GATE_YIELD() sched_yield()
#endif
#endif

typedef struct {
#if defined(Py_GIL_DISABLED)
    PyMutex mutex;
#else
    int closed;
#endif
} gate_t;

/* Whether a gate must be closed for whatever is done behind it, not only for what is done without the GIL. */
#if defined(Py_GIL_DISABLED)
enum { GATE_ALWAYS = 1 };
#else
enum { GATE_ALWAYS = 0 };
#endif

/* To go through: wait until the gate is open.  With the GIL, which may be let go meanwhile; NULL is no gate at all. */
static inline void gate_enter(gate_t *gate)
{
    if (gate == NULL) {
        return;
    }
#if defined(Py_GIL_DISABLED)
    PyMutex_Lock(&gate->mutex);
#else
    while (gate->closed) {
        Py_BEGIN_ALLOW_THREADS
        GATE_YIELD();
        Py_END_ALLOW_THREADS
    }
#endif
}

/* No Python code may run, and the GIL may not be let go, between gate_enter() and this. */
static inline void gate_leave(gate_t *gate)
{
#if defined(Py_GIL_DISABLED)
    if (gate != NULL) {
        PyMutex_Unlock(&gate->mutex);
    }
#else
    (void)gate;
#endif
}

/* With the GIL: whether someone is behind it whom gate_enter() would wait for, and let the GIL go. */
static inline int gate_is_closed(const gate_t *gate)
{
#if defined(Py_GIL_DISABLED)
    (void)gate;
    return 0;
#else
    return gate != NULL && gate->closed;
#endif
}

/* To work behind it without the GIL: with the GIL. */
static inline void gate_close(gate_t *gate)
{
    gate_enter(gate);
#if !defined(Py_GIL_DISABLED)
    gate->closed = 1;
#endif
}

/* With the GIL again. */
static inline void gate_open(gate_t *gate)
{
#if !defined(Py_GIL_DISABLED)
    gate->closed = 0;
#endif
    gate_leave(gate);
}

#endif

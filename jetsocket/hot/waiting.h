/* Waking tasks, and the clock that says for how long. */
#ifndef JETSOCKET_WAITING_H
#define JETSOCKET_WAITING_H

#include <Python.h>
#include <stdint.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <time.h>
#endif

/* Nanoseconds of a clock that never goes back. */
static int64_t waiting_now(void)
{
#ifdef _WIN32
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (int64_t)((double)count.QuadPart * 1e9 / (double)frequency.QuadPart);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + (int64_t)now.tv_nsec;
#endif
}

/* Call `callback(argument)` in `context`. */
static int waiting_call(PyObject *callback, PyObject *argument, PyObject *context)
{
    PyObject *result;
    if (PyContext_Enter(context) < 0) {
        return -1;
    }
    result = PyObject_CallOneArg(callback, argument);
    if (PyContext_Exit(context) < 0) {
        Py_XDECREF(result);
        return -1;
    }
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* Whether `callback` is a method in C of a `kind`: what a task of asyncio's C gives to be woken by. */
static int waiting_is_method_of(PyObject *callback, PyObject *kind)
{
    PyObject *owner = PyCFunction_CheckExact(callback) ? PyCFunction_GET_SELF(callback) : NULL;
    return owner != NULL && PyType_Check(kind) && PyObject_TypeCheck(owner, (PyTypeObject *)kind);
}

#endif

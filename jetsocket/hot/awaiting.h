/* The slots through which `await` gets an awaitable's value, filled so that a value costs no exception.
 *
 * Up to Python 3.11 the interpreter asks through am_send, which hands the value over as it is; Cython has no name for
 * that slot.  Since 3.12 it asks a foreign awaitable through tp_iternext, where a value can only come as StopIteration's,
 * and takes it out of the exception at once.  Making one for each message would cost more than all the rest, and so does
 * the traceback that Cython adds to whatever a method raises.  So one exception is kept, and used again whenever nobody
 * else has come to hold it. */
#ifndef JETSOCKET_AWAITING_H
#define JETSOCKET_AWAITING_H

#include <Python.h>

typedef PySendResult (*awaiting_send_t)(PyObject *, PyObject *, PyObject **);

typedef int (*awaiting_ask_t)(PyObject *);
typedef void (*awaiting_act_t)(PyObject *);

static awaiting_send_t awaiting_send;
static awaiting_ask_t awaiting_is_waiting;
static awaiting_act_t awaiting_stop_waiting;
static destructor awaiting_rest_of_dealloc;

#if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)
#define AWAITING_KEEPS 1
static PyObject *awaiting_kept = NULL;
#endif

#ifdef AWAITING_KEEPS
/* Put `value` (stolen) into the kept exception. */
static void awaiting_set(PyObject *value)
{
    PyObject **slot = &((PyStopIterationObject *)awaiting_kept)->value;
    PyObject *old = *slot;
    *slot = value;
    Py_XDECREF(old);
}

/* Whether the kept exception can be raised again: nobody holds it, and it never went through Python code. */
static int awaiting_is_ours(void)
{
    const PyStopIterationObject *kept = (PyStopIterationObject *)awaiting_kept;
    return kept != NULL && Py_REFCNT(awaiting_kept) == 1 && kept->traceback == NULL && kept->context == NULL;
}
#endif

/* The value was taken: do not keep it alive. */
static void awaiting_forget(void)
{
#ifdef AWAITING_KEEPS
    if (awaiting_kept != NULL && Py_REFCNT(awaiting_kept) == 1) {
        awaiting_set(Py_NewRef(Py_None));
    }
#endif
}

/* Raise StopIteration(value); steals the reference. */
static void awaiting_stop(PyObject *value)
{
#ifdef AWAITING_KEEPS
    PyObject *stop;
    if (!awaiting_is_ours()) {
        /* Without arguments: they could not be taken out of it again. */
        PyObject *fresh = PyObject_CallNoArgs(PyExc_StopIteration);
        if (fresh == NULL) {
            Py_DECREF(value);
            return;
        }
        Py_XSETREF(awaiting_kept, fresh);
    }
    /* Held before the old value goes: its destructor may come here again, and then finds that it is not free. */
    stop = Py_NewRef(awaiting_kept);
    awaiting_set(value);
    PyErr_SetRaisedException(stop);
#else
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    Py_DECREF(value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
#endif
}

static PyObject *awaiting_next(PyObject *self)
{
    PyObject *result = NULL;
    switch (awaiting_send(self, Py_None, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        awaiting_stop(result);
        return NULL;
    default:
        return NULL;
    }
}

/* Before an awaitable goes.  Not Cython's `__dealloc__`, around which an exception that is set is put aside and back. */
static void awaiting_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    awaiting_forget();
    if (awaiting_is_waiting(self)) {
        PyObject *kind, *value, *traceback;
        PyErr_Fetch(&kind, &value, &traceback);
        /* It is alive for as long as it is called. */
        Py_SET_REFCNT(self, 1);
        awaiting_stop_waiting(self);
        Py_SET_REFCNT(self, 0);
        PyErr_Restore(kind, value, traceback);
    }
    awaiting_rest_of_dealloc(self);
}

static void awaiting_fill_slots(PyTypeObject *type, awaiting_send_t send, awaiting_ask_t is_waiting,
                                awaiting_act_t stop_waiting)
{
    awaiting_send = send;
    awaiting_is_waiting = is_waiting;
    awaiting_stop_waiting = stop_waiting;
    awaiting_rest_of_dealloc = type->tp_dealloc;
    type->tp_dealloc = awaiting_dealloc;
    type->tp_as_async->am_send = send;
    type->tp_iternext = awaiting_next;
}

#endif

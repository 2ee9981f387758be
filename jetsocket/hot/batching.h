/* A list that is filled with what it was given room for. */
#ifndef JETSOCKET_BATCHING_H
#define JETSOCKET_BATCHING_H

#include <Python.h>

/* A list of nothing with room for `count` items, for `batching_append()`. */
static PyObject *batching_list(Py_ssize_t count)
{
#if defined(Py_GIL_DISABLED) || defined(PYPY_VERSION)
    (void)count;
    return PyList_New(0);
#else
    PyObject *list = PyList_New(count);
    if (list != NULL) {
        /* Whatever looks at it meanwhile sees no item that is not there yet. */
        Py_SET_SIZE((PyVarObject *)list, 0);
    }
    return list;
#endif
}

/* Append `item` to a list of `batching_list()`; steals the reference. */
static int batching_append(PyObject *list, PyObject *item)
{
    int failed;
#if !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)
    Py_ssize_t size = Py_SIZE(list);
    if (size < ((PyListObject *)list)->allocated) {
        ((PyListObject *)list)->ob_item[size] = item;
        Py_SET_SIZE((PyVarObject *)list, size + 1);
        return 0;
    }
#endif
    failed = PyList_Append(list, item);
    Py_DECREF(item);
    return failed;
}

#endif

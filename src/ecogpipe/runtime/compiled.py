"""Compiling loops, and keeping what was compiled."""

from collections.abc import Callable
from typing import Any

import numba

Function = Callable[..., None]


def compiled(signature: Any) -> Callable[[Function], Function]:
    """Compile a function that holds no lock of Python, or take what was compiled before.

    Where that cannot be kept, neither beside the module nor in the user's cache, compiling takes its seconds each time.

    Parameters
    ----------
    signature
        Types of its arguments, as numba has them.
    """

    def compile_(function: Function) -> Function:
        try:
            made: Function = numba.njit(signature, nogil=True, error_model="numpy", cache=True)(function)
        except (RuntimeError, OSError):
            made = numba.njit(signature, nogil=True, error_model="numpy")(function)
        return made

    return compile_


inlined = numba.njit(nogil=True, error_model="numpy")
"""Mark a function that compiled ones of the same module call; it is compiled into them."""

"""What a number in an ELF header says of the machine a file is for.

Source: System V ABI, e_machine, as in elf.h of glibc 2.36.
"""

from __future__ import annotations

MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}


def machine_name(number: int) -> str:
    """The name in runtime.json and messages; the bare number for a machine that nothing here is built for."""
    return MACHINES.get(number, f"ELF machine {number}")

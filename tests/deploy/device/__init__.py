"""An ARM device made of this PC: a shell whose ARM programs run under qemu, and programs to push to it."""

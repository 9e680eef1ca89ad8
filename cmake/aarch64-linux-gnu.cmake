# 64-bit ARM Linux. CROSS_COMPILE in the environment names another compiler's prefix, such as a board vendor's.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(triple aarch64-linux-gnu)
set(emulator qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/linux_gnu.cmake)

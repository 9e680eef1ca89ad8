# Android through the NDK that ANDROID_NDK in the environment names: r22 or newer, for std::filesystem.
set(toolchain $ENV{ANDROID_NDK}/build/cmake/android.toolchain.cmake)
if(NOT EXISTS ${toolchain})
  message(FATAL_ERROR "ANDROID_NDK is '$ENV{ANDROID_NDK}', and should name an unpacked Android NDK (r22 or newer)\n"
                      "  try: export ANDROID_NDK=FOLDER, with the NDK from https://developer.android.com/ndk/downloads")
endif()
include(${toolchain})

# Paddle Lite's inference library, where PADDLE_LITE_DIR names one: target paddle_lite. Without it the message says what to get.
# Source: Paddle-Lite v2.13-rc docs/quick_start/release_lib.md, docs/source_compile.

set(PADDLE_LITE_DIR "$ENV{PADDLE_LITE_DIR}" CACHE PATH "Unpacked inference library: holds cxx/include and cxx/lib")

if(ANDROID AND CMAKE_ANDROID_ARCH_ABI STREQUAL "arm64-v8a")
  set(archive inference_lite_lib.android.armv8.clang.c++_shared.with_extra.tar.gz)
elseif(ANDROID)
  set(archive inference_lite_lib.android.armv7.clang.c++_shared.with_extra.tar.gz)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(archive inference_lite_lib.armlinux.armv8.gcc.with_extra.tar.gz)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
  set(archive inference_lite_lib.armlinux.armv7hf.gcc.with_extra.tar.gz)
else()
  set(archive inference_lite_lib.x86.linux.tar.gz)
endif()
set(advice "  try: unpack ${archive} from https://github.com/PaddlePaddle/Paddle-Lite/releases and give -DPADDLE_LITE_DIR=FOLDER"
           "\n       (for an NPU: the archive or build command that 'edgeflow targets NAME' prints)")
string(CONCAT advice ${advice})

if(NOT PADDLE_LITE_DIR)
  message(STATUS "PADDLE_LITE_DIR is not set: what needs Paddle Lite is left out, the rest is built and tested\n${advice}")
  return()
endif()
set(library ${PADDLE_LITE_DIR}/cxx/lib/libpaddle_light_api_shared.so)
foreach(file ${library} ${PADDLE_LITE_DIR}/cxx/include/paddle_api.h)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing, and should be there: PADDLE_LITE_DIR names the folder that holds cxx/\n${advice}")
  endif()
endforeach()

find_package(Threads REQUIRED)
add_library(paddle_lite SHARED IMPORTED)
set_target_properties(paddle_lite PROPERTIES IMPORTED_LOCATION ${library} IMPORTED_NO_SONAME TRUE)
target_include_directories(paddle_lite SYSTEM INTERFACE ${PADDLE_LITE_DIR}/cxx/include)
target_link_libraries(paddle_lite INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
if(ANDROID)
  target_link_libraries(paddle_lite INTERFACE atomic log z)
endif()

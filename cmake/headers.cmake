# Header-only libraries of this PC, copied into the build folder: a cross build must not see the rest of /usr/include.

set(HEADERS ${PROJECT_BINARY_DIR}/headers)

function(edgeflow_copy_header file package)
  get_filename_component(folder ${file} DIRECTORY)
  string(MAKE_C_IDENTIFIER "FOUND_${file}" found)
  find_path(${found} ${file} PATHS /usr/include /usr/local/include PATH_SUFFIXES stb NO_CMAKE_FIND_ROOT_PATH)
  if(NOT ${found})
    message(FATAL_ERROR "${file} is not on this PC, and should be\n  try: apt install ${package}")
  endif()
  if(folder)
    file(COPY ${${found}}/${folder} DESTINATION ${HEADERS})
  else()
    file(COPY ${${found}}/${file} DESTINATION ${HEADERS})
  endif()
endfunction()

edgeflow_copy_header(nlohmann/json.hpp nlohmann-json3-dev)
edgeflow_copy_header(stb_image.h libstb-dev)
edgeflow_copy_header(stb_image_write.h libstb-dev)

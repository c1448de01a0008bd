# nr::torch: the CPU part of LibTorch (libtorch_cpu.so and libc10.so; never libtorch.so, which pulls CUDA in).
# Looked for in CMAKE_PREFIX_PATH (a LibTorch folder or a Python site's torch folder), then in .deps/site, where `make setup` puts it.
find_library(NOREGRET_TORCH_CPU_LIBRARY torch_cpu
             HINTS ${CMAKE_PREFIX_PATH} PATHS ${CMAKE_SOURCE_DIR}/.deps/site/torch
             PATH_SUFFIXES lib torch/lib NO_CMAKE_FIND_ROOT_PATH)
if(NOT NOREGRET_TORCH_CPU_LIBRARY)
  message(FATAL_ERROR "LibTorch is not there: run `make setup`, or name a LibTorch 2.11 folder with -DCMAKE_PREFIX_PATH=DIR")
endif()
get_filename_component(NOREGRET_TORCH_LIB_DIR ${NOREGRET_TORCH_CPU_LIBRARY} DIRECTORY)
get_filename_component(NOREGRET_TORCH_ROOT ${NOREGRET_TORCH_LIB_DIR} DIRECTORY)

add_library(nr::c10 SHARED IMPORTED)
set_target_properties(nr::c10 PROPERTIES
  IMPORTED_LOCATION ${NOREGRET_TORCH_LIB_DIR}/libc10.so
  INTERFACE_INCLUDE_DIRECTORIES "${NOREGRET_TORCH_ROOT}/include;${NOREGRET_TORCH_ROOT}/include/torch/csrc/api/include")
add_library(nr::torch SHARED IMPORTED)
set_target_properties(nr::torch PROPERTIES
  IMPORTED_LOCATION ${NOREGRET_TORCH_CPU_LIBRARY}
  INTERFACE_LINK_LIBRARIES nr::c10)

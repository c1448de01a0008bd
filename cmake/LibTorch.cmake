# nr::torch: the CPU part of LibTorch (libtorch_cpu.so and libc10.so; never libtorch.so, which pulls CUDA in).
# Looked for in CMAKE_PREFIX_PATH (a LibTorch folder or a Python site folder), then in .deps/site, where `make setup` puts it.
# Never in system folders: Debian's own LibTorch 1.13 is too old.
option(NOREGRET_CUDA "Build for CUDA too; needs a CUDA 13 toolkit and a LibTorch with libtorch_cuda.so" OFF)

file(TO_CMAKE_PATH "$ENV{CMAKE_PREFIX_PATH}" noregret_env_prefixes)
find_library(NOREGRET_TORCH_CPU_LIBRARY torch_cpu
             HINTS ${CMAKE_PREFIX_PATH} ${noregret_env_prefixes} PATHS ${CMAKE_SOURCE_DIR}/.deps/site
             PATH_SUFFIXES torch/lib lib NO_DEFAULT_PATH)
if(NOT NOREGRET_TORCH_CPU_LIBRARY)
  message(FATAL_ERROR "LibTorch is not there: run `make setup`, or name a LibTorch 2.11 folder with -DCMAKE_PREFIX_PATH=DIR")
endif()
get_filename_component(NOREGRET_TORCH_LIB_DIR ${NOREGRET_TORCH_CPU_LIBRARY} DIRECTORY)
get_filename_component(NOREGRET_TORCH_ROOT ${NOREGRET_TORCH_LIB_DIR} DIRECTORY)

set(noregret_torch_version_file ${NOREGRET_TORCH_ROOT}/include/torch/headeronly/version.h)
set(noregret_torch_version "older than 2.9")
if(EXISTS ${noregret_torch_version_file})
  file(STRINGS ${noregret_torch_version_file} noregret_torch_version REGEX "^  \"[0-9]+\\.[0-9]+")
  string(REGEX REPLACE "^ *\"([0-9.]+).*" "\\1" noregret_torch_version "${noregret_torch_version}")
endif()
if(NOT noregret_torch_version MATCHES "^2\\.11\\.")
  message(WARNING "LibTorch in ${NOREGRET_TORCH_ROOT} is ${noregret_torch_version}, this project is tested with 2.11")
endif()

add_library(nr::c10 SHARED IMPORTED)
set_target_properties(nr::c10 PROPERTIES
  IMPORTED_LOCATION ${NOREGRET_TORCH_LIB_DIR}/libc10.so
  INTERFACE_INCLUDE_DIRECTORIES "${NOREGRET_TORCH_ROOT}/include;${NOREGRET_TORCH_ROOT}/include/torch/csrc/api/include")
add_library(nr::torch SHARED IMPORTED)
set_target_properties(nr::torch PROPERTIES
  IMPORTED_LOCATION ${NOREGRET_TORCH_CPU_LIBRARY}
  INTERFACE_LINK_LIBRARIES nr::c10)

# nr::cuda: CUDA headers, for the one module that sees them. The operators of libtorch_cuda.so register themselves, so nr::torch
# keeps it linked though nothing names a symbol of it. Its own needs (cuDNN, NCCL, ...) are found when a program starts, through the
# RPATH of a complete Python site or LD_LIBRARY_PATH; a machine that only compiles does not have them.
if(NOREGRET_CUDA)
  set(NOREGRET_CUDA_ARCHITECTURES 90a CACHE STRING "GPU architectures that kernels are compiled for")
  set(CMAKE_CUDA_ARCHITECTURES ${NOREGRET_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  enable_language(CUDA)
  set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
  find_package(CUDAToolkit 13 REQUIRED)
  foreach(name c10_cuda torch_cuda)
    if(NOT EXISTS ${NOREGRET_TORCH_LIB_DIR}/lib${name}.so)
      message(FATAL_ERROR "NOREGRET_CUDA=ON: ${NOREGRET_TORCH_LIB_DIR}/lib${name}.so is not there; run `scripts/setup.sh --cuda`, "
                          "or name a LibTorch with CUDA in CMAKE_PREFIX_PATH")
    endif()
  endforeach()
  find_library(NOREGRET_CUDART_LIBRARY NAMES libcudart.so.13
               HINTS ${NOREGRET_TORCH_ROOT}/../nvidia/cu13/lib ${CUDAToolkit_LIBRARY_DIR} NO_DEFAULT_PATH REQUIRED)
  add_library(nr::c10_cuda SHARED IMPORTED)
  set_target_properties(nr::c10_cuda PROPERTIES IMPORTED_LOCATION ${NOREGRET_TORCH_LIB_DIR}/libc10_cuda.so)
  add_library(nr::cuda INTERFACE IMPORTED)
  set_target_properties(nr::cuda PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CUDAToolkit_INCLUDE_DIRS}"
    INTERFACE_COMPILE_DEFINITIONS NOREGRET_CUDA=1)
  set_property(TARGET nr::torch APPEND PROPERTY INTERFACE_LINK_LIBRARIES
    nr::c10_cuda ${NOREGRET_CUDART_LIBRARY}
    -Wl,--push-state,--no-as-needed,${NOREGRET_TORCH_LIB_DIR}/libtorch_cuda.so,--pop-state
    -Wl,--unresolved-symbols=ignore-in-shared-libs)
endif()

option(NOREGRET_WERROR "Warnings in our own sources are errors" ON)

# Sanitizers, for all that is compiled here (CMakePresets.json: asan, tsan). They stand in for _FORTIFY_SOURCE, which hides calls
# from them.
set(NOREGRET_SANITIZE "" CACHE STRING "Sanitizers of our own code, as -fsanitize takes them")
option(NOREGRET_FUZZ "Build the libFuzzer programs too; needs clang (make fuzz)" OFF)
if(NOREGRET_SANITIZE)
  add_compile_options(-fsanitize=${NOREGRET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1
                      $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)  # instrumented code misleads it
  add_compile_definitions(NOREGRET_SANITIZED)
  add_link_options(-fsanitize=${NOREGRET_SANITIZE})
endif()
if(NOREGRET_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Warnings and hardening of our own targets. _FORTIFY_SOURCE is an error without optimization.
add_library(noregret_flags INTERFACE)
if(NOT NOREGRET_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(noregret_fortify -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
set(noregret_cxx_options
  -Wall -Wextra $<$<BOOL:${NOREGRET_WERROR}>:-Werror> -Wno-missing-field-initializers
  -D_GLIBCXX_ASSERTIONS ${noregret_fortify} -fstack-protector-strong)
target_compile_options(noregret_flags INTERFACE
  "$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:${noregret_cxx_options}>"
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
target_link_options(noregret_flags INTERFACE -Wl,-z,relro,-z,now)

# One static library a module. Public headers: include/noregret/<name>/; sources and private headers: src/<name>/.

file(WRITE ${CMAKE_BINARY_DIR}/empty.cc "")

# Headers that take most of the compile time of the files that need them are parsed once, in a target of their own: a
# precompiled header that is built with a macro is of no use without it. The sources still include what they use.
# LIBS: whose include folders; OPTIONS: of all files that use it; HEADERS: what it holds.
function(noregret_precompile name)
  cmake_parse_arguments(arg "" "" "LIBS;OPTIONS;HEADERS" ${ARGN})
  set(options -fPIC $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess> ${arg_OPTIONS})
  add_library(noregret_${name}_headers OBJECT ${CMAKE_BINARY_DIR}/empty.cc)
  target_link_libraries(noregret_${name}_headers PRIVATE ${arg_LIBS} noregret_flags)
  target_compile_options(noregret_${name}_headers PRIVATE ${options})
  target_precompile_headers(noregret_${name}_headers PRIVATE ${arg_HEADERS})
  set_target_properties(noregret_${name}_headers PROPERTIES NOREGRET_OPTIONS "${options}")
endfunction()

function(noregret_use_headers target name)
  get_target_property(options noregret_${name}_headers NOREGRET_OPTIONS)
  target_compile_options(${target} PRIVATE ${options})
  target_precompile_headers(${target} REUSE_FROM noregret_${name}_headers)
endfunction()

# g++ 12 errs about lengths where <string> is precompiled.
set(noregret_test_options $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds$<SEMICOLON>-Wno-stringop-overflow>)
if(NOREGRET_SANITIZE)
  list(APPEND noregret_test_options -O0)  # instrumented tests compile in two thirds of the time
endif()
set(noregret_json_headers <nlohmann/json.hpp> <functional> <map> <optional> <string> <vector>)
set(noregret_tensor_headers <ATen/core/Tensor.h> <ATen/ops/empty.h> <ATen/ops/zeros.h> <ATen/ops/cat.h> <ATen/ops/tensor.h>
  <torch/csrc/autograd/custom_function.h>)
set(noregret_gtest_headers <gmock/gmock.h> <gtest/gtest.h>)
noregret_precompile(torch LIBS nr::torch nr::json HEADERS ${noregret_tensor_headers} ${noregret_json_headers})

function(noregret_module name)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  add_library(noregret_${name} STATIC ${sources} ${CMAKE_BINARY_DIR}/empty.cc)
  set_target_properties(noregret_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(noregret_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM arg_DEPS PREPEND noregret_)
  target_link_libraries(noregret_${name} PUBLIC ${arg_DEPS} ${arg_LIBS} PRIVATE noregret_flags)
  if("noregret_tensor" IN_LIST arg_DEPS OR name STREQUAL "tensor")
    noregret_use_headers(noregret_${name} torch)
  endif()
endfunction()

function(noregret_envs)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/envs/*.cc ${CMAKE_SOURCE_DIR}/envs/*/*.cc)
  add_library(noregret_envs STATIC ${sources} ${CMAKE_BINARY_DIR}/empty.cc)
  set_target_properties(noregret_envs PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(noregret_envs PUBLIC ${CMAKE_SOURCE_DIR})
  list(TRANSFORM arg_DEPS PREPEND noregret_)
  target_link_libraries(noregret_envs PUBLIC ${arg_DEPS} PRIVATE noregret_flags)
  noregret_use_headers(noregret_envs torch)
endfunction()

# rewards/<name>/*.cc becomes build/rewards/lib<name>.so; only the query function is visible.
function(noregret_plugins)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  list(TRANSFORM arg_DEPS PREPEND noregret_)
  file(GLOB folders CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/rewards ${CMAKE_SOURCE_DIR}/rewards/*)
  add_custom_target(plugins)
  foreach(name ${folders})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/rewards/${name}/*.cc)
    if(NOT sources)
      continue()
    endif()
    add_library(${name} MODULE ${sources})
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/rewards CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(${name} PRIVATE ${arg_DEPS} noregret_flags)
    target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed)
    add_dependencies(plugins ${name})
  endforeach()
endfunction()

# tests/reward/plugins/<name>.{c,cc} becomes build/test_plugins/lib<name>.so: bad plugins, and one in plain C. As a user would compile
# them: no library of ours, no flags beyond warnings.
enable_language(C)
function(noregret_test_plugins)
  add_custom_target(test_plugins)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/reward/plugins/*.c ${CMAKE_SOURCE_DIR}/tests/reward/plugins/*.cc)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    set(target test_plugin_${name})
    add_library(${target} MODULE ${source})
    set_target_properties(${target} PROPERTIES
      OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test_plugins
      C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic $<$<BOOL:${NOREGRET_WERROR}>:-Werror>)
    add_dependencies(test_plugins ${target})
  endforeach()
  target_link_options(test_plugin_static_throw PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL)
  target_link_libraries(test_plugin_hostile PRIVATE ${CMAKE_DL_LIBS})
endfunction()

# tests/fuzz: readers as functions of hostile bytes. With NOREGRET_FUZZ each is a libFuzzer program <name>_fuzz too.
function(noregret_fuzz)
  set(folder ${CMAKE_SOURCE_DIR}/tests/fuzz)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*_fuzz.cc)
  add_library(noregret_fuzz STATIC ${sources} ${folder}/folder.cc ${folder}/text_mutator.cc)
  target_include_directories(noregret_fuzz PUBLIC ${CMAKE_SOURCE_DIR} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(noregret_fuzz PUBLIC noregret_format noregret_text noregret_config noregret_grade PRIVATE noregret_flags)
  if(NOT NOREGRET_FUZZ)
    return()
  endif()
  add_custom_target(fuzz)
  foreach(source ${sources})
    get_filename_component(program ${source} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" name ${program})
    add_executable(${program} ${folder}/libfuzzer.cc)
    target_compile_definitions(${program} PRIVATE NOREGRET_FUZZ_TARGET=${name})
    target_link_libraries(${program} PRIVATE noregret_fuzz noregret_flags)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz ${program})
  endforeach()
endfunction()

# What tests/gpu has in a build without CUDA: the kernels' sources, compiled for the CPU with tests/emulation in place of CUDA.
function(noregret_emulation)
  file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/cuda/*.cu)
  file(GLOB emulation CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/emulation/*.cc)
  set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
  add_library(noregret_emulation OBJECT ${kernels} ${CMAKE_SOURCE_DIR}/src/kernels/cuda/launch.cc ${emulation})
  target_include_directories(noregret_emulation PRIVATE
    ${CMAKE_SOURCE_DIR}/tests/emulation ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(noregret_emulation PRIVATE nr::torch noregret_flags)
  # CUDA's compiler lets memory be read as other types, and knows "unroll".
  target_compile_options(noregret_emulation PRIVATE -fno-strict-aliasing -Wno-unknown-pragmas)
endfunction()

# One test program a module (a LibTorch process costs half a second to start), tests/<module>/*_test.cc.
# tests/build links none of our libraries; tests/gpu has the label gpu.
function(noregret_tests)
  find_package(GTest REQUIRED)
  noregret_precompile(test LIBS GTest::gmock nr::json OPTIONS ${noregret_test_options}
    HEADERS ${noregret_gtest_headers} ${noregret_json_headers})
  noregret_precompile(torch_test LIBS GTest::gmock nr::torch nr::json OPTIONS ${noregret_test_options}
    HEADERS ${noregret_gtest_headers} ${noregret_tensor_headers} ${noregret_json_headers})
  noregret_test_plugins()
  file(GLOB folders CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/tests/*)
  foreach(name ${folders})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*_test.cc)
    if(NOT sources)
      continue()
    endif()
    set(target ${name}_test)
    add_executable(${target} ${sources})
    if(TARGET noregret_${name})
      set(library noregret_${name})
    elseif(name STREQUAL "build")
      set(library)
    elseif(name STREQUAL "rewards")
      set(library noregret_reward)   # a process without LibTorch, as a worker is
    else()
      set(library noregret_run)
    endif()
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${target} PRIVATE ${library} GTest::gmock GTest::gtest_main noregret_flags)
    target_compile_definitions(${target} PRIVATE NOREGRET_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    if(name MATCHES "^(envs|grade|reward|rewards|rollout|run|e2e)$")  # these run what was built
      target_compile_definitions(${target} PRIVATE NOREGRET_BUILD_DIR="${CMAKE_BINARY_DIR}")
      add_dependencies(${target} plugins noregret-reward-worker)
    endif()
    if(name MATCHES "^(reward|rewards|run|e2e)$")
      add_dependencies(${target} test_plugins)
    endif()
    if(name STREQUAL "e2e")
      add_dependencies(${target} noregret)
    endif()
    add_test(NAME ${name} COMMAND ${target})
    if(name MATCHES "^(tensor|nn|objective|rollout|train|run|gpu)$")
      noregret_use_headers(${target} torch_test)
    elseif(library)
      noregret_use_headers(${target} test)
    endif()
    if(name STREQUAL "gpu")
      set_tests_properties(gpu PROPERTIES LABELS gpu)
      if(NOT NOREGRET_CUDA)
        noregret_emulation()
        target_link_libraries(gpu_test PRIVATE noregret_emulation)
        target_compile_definitions(gpu_test PRIVATE NOREGRET_EMULATED=1)
        set_tests_properties(gpu PROPERTIES PROCESSORS 2)  # for minutes; others watch the clock
      endif()
    endif()
  endforeach()
endfunction()

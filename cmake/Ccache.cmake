# Compile through ccache where it is installed. Precompiled headers are told apart by their content. Paths are hashed as seen from the
# build folder, so that build/ and build-cuda/ share what is the same in both.
find_program(NOREGRET_CCACHE ccache)
if(NOREGRET_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${NOREGRET_CCACHE})
endif()

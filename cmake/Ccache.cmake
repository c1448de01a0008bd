# Compile through ccache where it is installed. Precompiled headers are told apart by their content.
find_program(NOREGRET_CCACHE ccache)
if(NOREGRET_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1 ${NOREGRET_CCACHE})
endif()

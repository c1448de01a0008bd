# Compile through ccache where it is installed.
find_program(NOREGRET_CCACHE ccache)
if(NOREGRET_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${NOREGRET_CCACHE})
endif()

# Every target that zig's clang builds: its own C and C++ libraries for all of them, linked in where they are not the
# system's. MULTIPROC_ZIG: the program; MULTIPROC_TRIPLE: what for.
if("$ENV{MULTIPROC_TRIPLE}" MATCHES "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_INSTALL_NAME_TOOL true)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()
string(REGEX MATCH "^[a-z0-9_]+" CMAKE_SYSTEM_PROCESSOR "$ENV{MULTIPROC_TRIPLE}")
set(CMAKE_CXX_COMPILER "$ENV{MULTIPROC_ZIG}" c++)
set(CMAKE_CXX_COMPILER_TARGET "$ENV{MULTIPROC_TRIPLE}")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
add_compile_options(-g0)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -Wl,-s)

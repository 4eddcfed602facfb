# One static library a room, so that the linker enforces the one-way arrows between rooms.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(hif_options INTERFACE)
target_include_directories(hif_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
target_compile_definitions(hif_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64
                           HIF_VERSION="${PROJECT_VERSION}")
target_compile_options(hif_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wvla -Wformat=2 -Wundef -fno-strict-aliasing -fno-common
  $<$<BOOL:${HIF_WERROR}>:-Werror>)
target_link_libraries(hif_options INTERFACE Threads::Threads)
if(HIF_SANITIZE)
  target_compile_options(hif_options INTERFACE -fsanitize=${HIF_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(hif_options INTERFACE -fsanitize=${HIF_SANITIZE})
else()
  target_compile_definitions(hif_options INTERFACE $<$<CONFIG:RelWithDebInfo,Release>:_FORTIFY_SOURCE=2>)
endif()

# hif_room(NAME [SOURCES file...] [DEPENDS room...] [PACKAGES pkg-config-module...])
function(hif_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PACKAGES" ${ARGN})
  if(ARG_SOURCES)
    add_library(hif_${name} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(hif_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(hif_${name} ${scope} hif_options)
  foreach(dep IN LISTS ARG_DEPENDS)
    target_link_libraries(hif_${name} ${scope} hif_${dep})
  endforeach()
  foreach(package IN LISTS ARG_PACKAGES)
    pkg_check_modules(pkg_${package} REQUIRED IMPORTED_TARGET ${package})
    target_link_libraries(hif_${name} ${scope} PkgConfig::pkg_${package})
  endforeach()
endfunction()

# hif_program(NAME SOURCES file... DEPENDS room... [PACKAGES module...]): a tool that is not a test
function(hif_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PACKAGES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE hif_options)
  foreach(dep IN LISTS ARG_DEPENDS)
    target_link_libraries(${name} PRIVATE hif_${dep})
  endforeach()
  foreach(package IN LISTS ARG_PACKAGES)
    pkg_check_modules(pkg_${package} REQUIRED IMPORTED_TARGET ${package})
    target_link_libraries(${name} PRIVATE PkgConfig::pkg_${package})
  endforeach()
endfunction()

# hif_test(NAME SOURCES file... DEPENDS room... [PACKAGES module...] [ARGS arg...]): a cmocka suite
function(hif_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PACKAGES;ARGS" ${ARGN})
  hif_program(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} PACKAGES cmocka ${ARG_PACKAGES})
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
endfunction()

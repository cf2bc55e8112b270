# libkuaixun: the C interface and nothing else, and what a program needs to find it once it is installed: a CMake package
# (find_package(kuaixun), kuaixun::kuaixun) and kuaixun.pc. Both find their prefix from where they lie, so that the folder
# may be chosen when it is installed, and moved.

add_library(kuaixun SHARED $<TARGET_OBJECTS:kuaixun_runtime>)
add_library(kuaixun::kuaixun ALIAS kuaixun)
target_include_directories(kuaixun PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(kuaixun PRIVATE Threads::Threads)
report_edges(kuaixun)
set_target_properties(kuaixun PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
set_target_properties(kuaixun_runtime PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

# Hidden visibility leaves what the C++ library declares visible: its templates, instantiated here.
include(CheckLinkerFlag)
set(symbols ${CMAKE_CURRENT_LIST_DIR}/c_interface.map)
check_linker_flag(CXX "LINKER:--version-script=${symbols}" KUAIXUN_VERSION_SCRIPTS)
if(KUAIXUN_VERSION_SCRIPTS)
  target_link_options(kuaixun PRIVATE "LINKER:--version-script=${symbols}")
  set_target_properties(kuaixun PROPERTIES LINK_DEPENDS ${symbols})
endif()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/kuaixun)
install(TARGETS kuaixun EXPORT kuaixun
  RUNTIME COMPONENT runtime LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)
install(FILES include/kuaixun/kuaixun.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kuaixun COMPONENT development)
install(EXPORT kuaixun NAMESPACE kuaixun:: FILE kuaixunConfig.cmake DESTINATION ${package_folder} COMPONENT development)

include(CMakePackageConfigHelpers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kuaixunConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kuaixunConfigVersion.cmake DESTINATION ${package_folder} COMPONENT development)

file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/kuaixun.pc.in ${PROJECT_BINARY_DIR}/kuaixun.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kuaixun.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# apt, NSS and what reads their text. Included by CMakeLists.txt.
add_executable(apt_tool apt_tool.c)
target_link_libraries(apt_tool PRIVATE pv_flags pv_apt pv_plan)
set_target_properties(apt_tool PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

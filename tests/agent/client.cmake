# From the person at the desk to the monitor's frames.
add_executable(frontend_test frontend_test.c)
target_link_libraries(frontend_test PRIVATE pv_flags pv_frontend PkgConfig::CMOCKA)
if(PV_SANITIZE)
  target_compile_definitions(frontend_test PRIVATE PV_SANITIZED)
endif()
add_test(NAME agent/frontend COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/frontend_test.sh $<TARGET_FILE:frontend_test>
                                     $<TARGET_FILE:proviso-frontend>)
add_test(NAME agent/pass COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/pass_test.sh $<TARGET_FILE:selfserve-pass>)
add_test(NAME agent/client COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/client_test.sh ${CMAKE_BINARY_DIR})

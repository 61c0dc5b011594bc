# selfserve and what it needs. pv_client is also for the operator verbs of `proviso`.
set(PV_PASS_PATH ${CMAKE_INSTALL_FULL_LIBEXECDIR}/proviso/selfserve-pass CACHE STRING "Where selfserve-pass is installed")
set(PV_CLIENT_KEY /etc/proviso/client.key CACHE STRING "The client key of the installed selfserve-pass")

add_library(pv_client STATIC client/connect.c client/text.c)
target_link_libraries(pv_client PRIVATE pv_flags PUBLIC pv_message pv_request_wire)

add_executable(selfserve client/selfserve.c client/follow.c client/show.c client/progress.c)
target_link_libraries(selfserve PRIVATE pv_flags pv_client)

# The one program that reads the client key; whoever installs it sets its group and mode 02755.
add_executable(selfserve-pass client/pass.c)
target_link_libraries(selfserve-pass PRIVATE pv_flags pv_passcode)
target_compile_definitions(selfserve-pass PRIVATE PV_PASS_PATH="${PV_PASS_PATH}" PV_CLIENT_KEY="${PV_CLIENT_KEY}")
set_target_properties(selfserve-pass PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PV_LIBEXEC_DIR})
if(PV_SANITIZE)
  target_compile_definitions(selfserve-pass PRIVATE PV_SANITIZED)
endif()

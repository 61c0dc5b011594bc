# The client protocol's messages, for both of its ends. libjansson; never linked by the monitor.
add_library(pv_message STATIC message.c)
target_link_libraries(pv_message PRIVATE pv_flags PUBLIC PkgConfig::JANSSON)

# One process per client: JSON on one side, frames on the other.
add_library(pv_frontend STATIC frontend_submit.c frontend_answer.c frontend_stream.c frontend_sandbox.c)
target_link_libraries(pv_frontend PRIVATE pv_flags PUBLIC pv_message pv_request_wire m)
add_executable(proviso-frontend frontend.c)
target_link_libraries(proviso-frontend PRIVATE pv_flags pv_frontend)
set_target_properties(proviso-frontend PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PV_LIBEXEC_DIR})

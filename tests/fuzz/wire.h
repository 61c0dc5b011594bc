/* The first byte of an input of the target `wire`: which decoder gets the rest. */
#ifndef PROVISO_TESTS_FUZZ_WIRE_H
#define PROVISO_TESTS_FUZZ_WIRE_H

enum {
    FUZZ_REQUEST,
    FUZZ_RECORD,
    FUZZ_PLAN_OP,
    FUZZ_PLAN_STATE,
    FUZZ_PLAN_TEXT,
    FUZZ_PLAN_REQUEST,
    FUZZ_JOB,
    FUZZ_STATUS,
    FUZZ_ANSWER,
    FUZZ_MINISIGN,
    FUZZ_N_WIRE
};

#endif

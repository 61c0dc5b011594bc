/* The resolver's answers that are errors; the frames are in agentd/wire.h. */
#ifndef PV_AGENTD_RESOLVER_H
#define PV_AGENTD_RESOLVER_H

/* PV_MSG_RESOLVE_ERROR, code */
enum pv_resolver_error {
    PV_RESOLVER_NO_USER = 1,   /* the uid has no name */
    PV_RESOLVER_FAILED = 2,    /* a name service failed: nobody knows, so deny */
    PV_RESOLVER_AMBIGUOUS = 3, /* the uid's name leads to another uid */
    PV_RESOLVER_TOO_MUCH = 4,  /* more groups, or longer names, than the wire holds */
    PV_RESOLVER_BAD_REQUEST = 5,
};

enum {
    PV_RESOLVER_GROUPS_MAX = 1024, /* groups of one user */
    PV_RESOLVER_NAME_MAX = 255,    /* bytes of an account's or group's name */
};

#endif

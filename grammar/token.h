/* A token, passed by value through lexer and parser. */
#ifndef PROVISO_GRAMMAR_TOKEN_H
#define PROVISO_GRAMMAR_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/source.h"

struct pv_token {
    uint16_t kind;
    bool broken;      /* an error was reported for it */
    bool starts_line; /* the first of its line */
    uint32_t column;  /* bytes before it on its line */
    struct pv_span span;
};

#endif

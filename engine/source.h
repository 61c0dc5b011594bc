/* Source text: the files of one compilation, places in them, and what a reader is told about them.
 *
 * A place is a span of bytes in a file; lines and columns are made from it only for people. Text that is not valid
 * (UTF-8, NUL bytes) is refused when a file is read, so that everything behind may rely on it. */
#ifndef PROVISO_ENGINE_SOURCE_H
#define PROVISO_ENGINE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/arena.h"

/* Bytes start .. end (not included) of a file. file is an index in struct pv_sources; PV_NO_FILE: nowhere in
 * particular. */
struct pv_span {
    uint32_t file, start, end;
};
#define PV_NO_FILE UINT32_MAX
#define PV_NO_SPAN ((struct pv_span){PV_NO_FILE, 0, 0})

/* The least span that holds both; they are of one file, or one of them is PV_NO_SPAN. */
struct pv_span pv_span_join(struct pv_span a, struct pv_span b);
bool pv_span_is_none(struct pv_span span);

#define PV_SOURCE_LIMIT (64u << 20) /* bytes of one file, where the caller sets no other limit */

struct pv_source_file {
    const char *path;     /* as shown: from the root file's folder, or from the library's; "-" for standard input */
    const char *location; /* as opened; NULL where the text was given in memory */
    const char *text;     /* len bytes, then a NUL */
    uint32_t len;
    uint32_t n_lines;
    const uint32_t *lines;  /* offset of each line's start; lines[0] == 0 */
    uint64_t device, inode; /* of the opened file, 0 and 0 for text in memory */
    /* The place that was asked for last, so that asking in order is linear even on a line of megabytes. */
    uint32_t known_line, known_offset, known_column;
    bool refused; /* not UTF-8, or holds a NUL byte: not to be parsed */
    bool library; /* found in a policy library directory, not beside the file that imports it */
};

struct pv_sources {
    struct pv_arena *arena;
    struct pv_source_file **files;
    uint32_t n_files;
    size_t capacity;
    uint32_t limit; /* bytes of one file; 0 is PV_SOURCE_LIMIT */
};

void pv_sources_init(struct pv_sources *sources, struct pv_arena *arena);

/* Registers a copy of text that is in memory already. *file is its index, also when the text is refused (so that the
 * diagnostic can show it). 0; PV_E_LIMIT too long; PV_E_SYNTAX not UTF-8 or holds a NUL byte (*at is the offset of the
 * first such byte); PV_E_NOMEM. */
int pv_sources_add_text(struct pv_sources *sources, const char *path, const char *text, size_t len, uint32_t *file,
                        uint32_t *at);
/* Opens and reads a regular file. As above, and PV_E_IO with errno set (EISDIR, EINVAL where it is not a regular
 * file); *file is PV_NO_FILE where nothing was read. */
int pv_sources_add_file(struct pv_sources *sources, const char *path, const char *location, uint32_t *file,
                        uint32_t *at);

const struct pv_source_file *pv_sources_file(const struct pv_sources *sources, uint32_t file);

/* A place for people: line from 1, column from 1 in code points. */
struct pv_place {
    const char *path; /* "" for PV_NO_FILE */
    uint32_t line, column;
};
/* Where an offset is (span.start, or span.end). */
struct pv_place pv_sources_place(const struct pv_sources *sources, uint32_t file, uint32_t offset);
/* A line's bytes without its end (LF or CR LF); line from 1. */
const char *pv_sources_line(const struct pv_sources *sources, uint32_t file, uint32_t line, uint32_t *len);
/* The bytes of a span, not terminated; "" for none. */
const char *pv_sources_slice(const struct pv_sources *sources, struct pv_span span, uint32_t *len);

/* ---- UTF-8, independent of the locale ---- */

/* Decodes one code point at p (len > 0); returns its bytes, 0 where it is not valid UTF-8 (overlong, surrogate,
 * over U+10FFFF, cut off). */
size_t pv_utf8_decode(const char *p, size_t len, uint32_t *code_point);
/* Writes a code point, 1 to 4 bytes; 0 where it is not a Unicode scalar value. */
size_t pv_utf8_encode(uint32_t code_point, char out[4]);
/* The offset of the first byte that is not valid UTF-8 or is NUL, or len. */
size_t pv_utf8_check(const char *text, size_t len);
/* Terminal columns of a code point: 0 combining, 1, or 2 wide. Control characters count 1 (they are shown escaped). */
int pv_utf8_width(uint32_t code_point);

#endif

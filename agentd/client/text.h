/*
 * Text from elsewhere on a person's terminal. Package descriptions, texts of policies, names and the output of commands
 * are written by others: none of it may move the cursor, change colours, retitle the window, answer a query or turn the
 * line's direction round. Control characters (C0, DEL, C1), direction marks and bytes that are not UTF-8 become visible
 * escapes (\x1b, \u{202e}); everything else stays.
 *
 * libc only.
 */
#ifndef PV_AGENTD_CLIENT_TEXT_H
#define PV_AGENTD_CLIENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A safe copy of `len` bytes, terminated, the caller's to free; NULL only without memory. `lines` keeps newline and tab
 * (a "\r\n" becomes a newline), otherwise they are escaped too. */
char *pv_text_safe(const char *text, size_t len, bool lines);

/* Writes it to a stream. NULL prints nothing. */
void pv_text_print(FILE *stream, const char *text);

/* Columns that safe text takes on a terminal, by the locale's character widths. */
size_t pv_text_width(const char *safe);
/* Cuts safe text in place to at most `columns` columns, at a whole character. */
void pv_text_cut(char *safe, size_t columns);

#endif

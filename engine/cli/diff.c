/* Unified diffs of two texts (Myers, "An O(ND) Difference Algorithm and Its Variations", 1986): the shortest script of
 * lines removed and added, found forwards with every round kept, so that memory grows with the square of the
 * differences. Texts that differ in more lines than MAX_ROUNDS are shown as one removed and one added. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

#define MAX_ROUNDS 1000
#define CONTEXT    3

struct line {
    const char *text;
    size_t len; /* with its newline, where it has one */
};

struct lines {
    struct line *list;
    size_t n;
};

struct diff {
    struct lines from, to;
    bool *removed, *added; /* by line */
};

static int split(struct lines *lines, const char *text, size_t len)
{
    size_t n = 0;
    for (const char *p = text, *end = text + len; p < end; n++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        p = newline ? newline + 1 : end;
    }
    lines->list = calloc(n + 1, sizeof(*lines->list));
    if (!lines->list)
        return -1;
    for (const char *p = text, *end = text + len; p < end; lines->n++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *next = newline ? newline + 1 : end;
        lines->list[lines->n] = (struct line){p, (size_t)(next - p)};
        p = next;
    }
    return 0;
}

static bool same(const struct diff *d, long x, long y)
{
    const struct line *a = &d->from.list[x], *b = &d->to.list[y];
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* Marks what the way back from round `rounds` removes and adds. furthest[d] holds round d's 2d + 1 diagonals. */
static void mark(struct diff *d, long *const *furthest, long rounds, long skip, long x, long y)
{
    for (long round = rounds; round > 0; round--) {
        const long *before = furthest[round - 1] + (round - 1);
        long k = x - y;
        bool down = k == -round || (k != round && before[k - 1] < before[k + 1]);
        long from_k = down ? k + 1 : k - 1, from_x = before[from_k], from_y = from_x - from_k;
        if (down)
            d->added[skip + from_y] = true;
        else
            d->removed[skip + from_x] = true;
        x = from_x;
        y = from_y;
    }
}

/* Compares the n lines of one text with the m of the other behind `skip` equal ones. 1 where they differ in too much,
 * -1 without memory. */
static int compare(struct diff *d, long skip, long n, long m)
{
    long *furthest[MAX_ROUNDS + 1] = {0};
    int rc = 1;
    for (long round = 0; round <= MAX_ROUNDS && rc == 1; round++) {
        long *row = calloc((size_t)(2 * round + 1), sizeof(*row));
        if (!row) {
            rc = -1;
            break;
        }
        furthest[round] = row;
        row += round;
        const long *before = round ? furthest[round - 1] + (round - 1) : NULL;
        for (long k = -round; k <= round; k += 2) {
            bool down = k == -round || (k != round && before[k - 1] < before[k + 1]);
            long x = !round ? 0 : down ? before[k + 1] : before[k - 1] + 1;
            long y = x - k;
            while (x >= 0 && y >= 0 && x < n && y < m && same(d, skip + x, skip + y)) {
                x++;
                y++;
            }
            row[k] = x;
            if (x == n && y == m) {
                mark(d, furthest, round, skip, x, y);
                rc = 0;
                break;
            }
        }
    }
    for (long i = 0; i <= MAX_ROUNDS; i++)
        free(furthest[i]);
    return rc;
}

static int find_changes(struct diff *d)
{
    long n = (long)d->from.n, m = (long)d->to.n, skip = 0;
    while (skip < n && skip < m && same(d, skip, skip))
        skip++;
    while (n > skip && m > skip && same(d, n - 1, m - 1)) {
        n--;
        m--;
    }
    int rc = compare(d, skip, n - skip, m - skip);
    if (rc == 1) {
        memset(d->removed + skip, true, (size_t)(n - skip));
        memset(d->added + skip, true, (size_t)(m - skip));
        rc = 0;
    }
    return rc;
}

static void print_line(FILE *out, char sign, const struct line *line, bool colour)
{
    bool ends = line->len && line->text[line->len - 1] == '\n';
    const char *shade = !colour || sign == ' ' ? "" : sign == '-' ? "\033[31m" : "\033[32m";
    fputs(shade, out);
    fputc(sign, out);
    fwrite(line->text, 1, line->len - ends, out);
    fputs(*shade ? "\033[0m" : "", out);
    fputs(ends ? "\n" : "\n\\ No newline at end of file\n", out);
}

static void print_range(FILE *out, char sign, size_t start, size_t n)
{
    fprintf(out, n == 1 ? " %c%zu" : " %c%zu,%zu", sign, start + (n > 0), n);
}

/* One hunk: lines x .. x_end of one text, y .. y_end of the other. */
static void print_hunk(FILE *out, const struct diff *d, size_t x, size_t x_end, size_t y, size_t y_end, bool colour)
{
    fputs(colour ? "\033[36m@@" : "@@", out);
    print_range(out, '-', x, x_end - x);
    print_range(out, '+', y, y_end - y);
    fputs(colour ? " @@\033[0m\n" : " @@\n", out);
    while (x < x_end || y < y_end) {
        if (x < x_end && d->removed[x]) {
            print_line(out, '-', &d->from.list[x++], colour);
        } else if (y < y_end && d->added[y]) {
            print_line(out, '+', &d->to.list[y++], colour);
        } else {
            print_line(out, ' ', &d->from.list[x++], colour);
            y++;
        }
    }
}

static bool changed(const struct diff *d, size_t x, size_t y)
{
    return (x < d->from.n && d->removed[x]) || (y < d->to.n && d->added[y]);
}

static void print(FILE *out, const struct diff *d, const char *path, bool colour)
{
    bool any = false;
    for (size_t x = 0, y = 0; x < d->from.n || y < d->to.n;) {
        if (!changed(d, x, y)) {
            x++;
            y++;
            continue;
        }
        if (!any)
            fprintf(out, "--- %s\n+++ %s\n", path, path);
        any = true;
        size_t back = x < y ? x : y;
        back = back < CONTEXT ? back : CONTEXT;
        size_t x_start = x - back, y_start = y - back;
        for (size_t equal = 0; equal <= 2 * CONTEXT && (x < d->from.n || y < d->to.n);) {
            if (changed(d, x, y)) {
                bool remove = x < d->from.n && d->removed[x];
                x += remove;
                y += !remove;
                equal = 0;
            } else {
                x++;
                y++;
                equal++;
            }
        }
        size_t x_end = x, y_end = y, equal = 0;
        while (x_end > x_start && y_end > y_start && !d->removed[x_end - 1] && !d->added[y_end - 1]) {
            x_end--;
            y_end--;
            equal++;
        }
        x_end += equal < CONTEXT ? equal : CONTEXT;
        y_end += equal < CONTEXT ? equal : CONTEXT;
        print_hunk(out, d, x_start, x_end, y_start, y_end, colour);
    }
}

int pv_cli_diff(FILE *out, const char *path, const char *from, size_t from_len, const char *to, size_t to_len,
                bool colour)
{
    struct diff d = {0};
    int rc = -1;
    if (split(&d.from, from, from_len) < 0 || split(&d.to, to, to_len) < 0)
        goto out;
    d.removed = calloc(d.from.n + 1, sizeof(*d.removed));
    d.added = calloc(d.to.n + 1, sizeof(*d.added));
    if (!d.removed || !d.added || find_changes(&d) < 0)
        goto out;
    print(out, &d, path, colour);
    rc = 0;
out:
    free(d.from.list);
    free(d.to.list);
    free(d.removed);
    free(d.added);
    return rc;
}

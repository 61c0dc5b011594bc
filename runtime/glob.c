/* Globs without backtracking: a nondeterministic automaton whose states are the places between tokens, run with one bit
 * a state. Each code point of the text costs one pass over the words of the state set, whatever the pattern.
 *
 * At load each glob gets masks: for every code point that stands in it the places where it stands, and the places of
 * `?`, `*` and `**`. Stars side by side are one star (`**` if any is), so a step follows at most one empty move. Text
 * is read as UTF-8; a byte that is not part of well-formed UTF-8 counts as one code point that no literal equals. */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MEMORY ((size_t)256 << 20) /* bytes for all masks of a bundle */
#define MAX_WORDS  (PVB_MAX_GLOB_TOKENS / 64 + 1)
#define BAD_BYTE   0x110000u /* plus the byte: beyond every code point */

struct prepared {
    uint32_t n; /* places: the last, bit n, accepts */
    uint32_t words, n_symbols;
    uint32_t first_symbol;
    size_t first_mask; /* one, star, star_star, then a mask a symbol */
};

struct pv_globs {
    size_t memory;
    struct prepared *globs;
    uint32_t *symbols; /* ascending within a glob */
    uint64_t *masks;
};

static int compare_symbols(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Writes the distinct code points of a glob, ascending; returns their number. */
static uint32_t gather_symbols(uint32_t *out, const uint32_t *tokens, uint32_t n)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (tokens[i] < PVB_GLOB_ONE)
            out[found++] = tokens[i];
    }
    if (found > 1)
        qsort(out, found, sizeof(*out), compare_symbols);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < found; i++) {
        if (!distinct || out[distinct - 1] != out[i])
            out[distinct++] = out[i];
    }
    return distinct;
}

static uint32_t find_symbol(const uint32_t *symbols, uint32_t n, uint32_t symbol)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (symbols[middle] < symbol)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && symbols[low] == symbol ? low : n;
}

static void fill_masks(struct prepared *g, uint64_t *masks, const uint32_t *symbols, const uint32_t *tokens, uint32_t n)
{
    uint64_t *one = masks, *star = masks + g->words, *star_star = masks + 2 * (size_t)g->words;
    uint32_t place = 0;
    for (uint32_t i = 0; i < n; place++) {
        uint64_t bit = UINT64_C(1) << (place % 64);
        uint32_t word = place / 64;
        if (tokens[i] < PVB_GLOB_ONE) {
            masks[(3 + find_symbol(symbols, g->n_symbols, tokens[i])) * (size_t)g->words + word] |= bit;
            i++;
        } else if (tokens[i] == PVB_GLOB_ONE) {
            one[word] |= bit;
            i++;
        } else {
            bool any = false;
            for (; i < n && tokens[i] > PVB_GLOB_ONE; i++)
                any = any || tokens[i] == PVB_GLOB_STAR_STAR;
            (any ? star_star : star)[word] |= bit;
        }
    }
    g->n = place;
}

int pv_globs_prepare(struct pv_globs **out, const struct pvb_glob *globs, size_t n_globs, const uint32_t *tokens,
                     struct pv_error *error)
{
    *out = NULL;
    uint32_t scratch[PVB_MAX_GLOB_TOKENS];
    size_t n_symbols = 0, n_masks = 0;
    for (size_t i = 0; i < n_globs; i++) {
        uint32_t distinct = gather_symbols(scratch, tokens + globs[i].first, globs[i].n);
        n_symbols += distinct;
        n_masks += (3 + (size_t)distinct) * pv_glob_words(globs[i].n);
        if (n_masks > MAX_MEMORY / sizeof(uint64_t) || n_symbols > UINT32_MAX)
            return pv_fail(error, PV_E_LIMIT, 0, "the globs need more than %zu MiB to match", MAX_MEMORY >> 20);
    }

    struct pv_globs *all = calloc(1, sizeof(*all));
    if (!all)
        return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    all->globs = calloc(n_globs + 1, sizeof(*all->globs));
    all->symbols = calloc(n_symbols + 1, sizeof(*all->symbols));
    all->masks = calloc(n_masks + 1, sizeof(*all->masks));
    if (!all->globs || !all->symbols || !all->masks) {
        pv_globs_free(all);
        return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    }
    all->memory = sizeof(*all) + (n_globs + 1) * sizeof(*all->globs) + (n_symbols + 1) * sizeof(*all->symbols) +
                  (n_masks + 1) * sizeof(*all->masks);

    uint32_t symbol = 0;
    size_t mask = 0;
    for (size_t i = 0; i < n_globs; i++) {
        struct prepared *g = &all->globs[i];
        const uint32_t *own = tokens + globs[i].first;
        g->words = pv_glob_words(globs[i].n);
        g->n_symbols = gather_symbols(scratch, own, globs[i].n);
        g->first_symbol = symbol;
        g->first_mask = mask;
        memcpy(all->symbols + symbol, scratch, g->n_symbols * sizeof(*scratch));
        fill_masks(g, all->masks + mask, scratch, own, globs[i].n);
        symbol += g->n_symbols;
        mask += (3 + (size_t)g->n_symbols) * g->words;
    }
    *out = all;
    return 0;
}

void pv_globs_free(struct pv_globs *globs)
{
    if (!globs)
        return;
    free(globs->globs);
    free(globs->symbols);
    free(globs->masks);
    free(globs);
}

size_t pv_globs_memory(const struct pv_globs *globs)
{
    return globs->memory;
}

/* Takes one code point off the text. Overlong forms, surrogates and what is beyond U+10FFFF are not well-formed. */
static uint32_t take_code_point(const unsigned char **at, const unsigned char *end)
{
    const unsigned char *p = *at;
    uint32_t c = *p;
    size_t more = c < 0x80 ? 0 : c < 0xc2 ? 4 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 4;
    *at = p + 1;
    if (!more)
        return c;
    if (more > 3 || more >= (size_t)(end - p))
        return BAD_BYTE + c;
    uint32_t value = c & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return BAD_BYTE + c;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if ((more == 2 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) ||
        (more == 3 && (value < 0x10000 || value > 0x10ffff)))
        return BAD_BYTE + c;
    *at = p + more + 1;
    return value;
}

/* Where all places fit in one word, as in nearly every glob. */
static bool match_short(const struct prepared *g, const uint32_t *symbols, const uint64_t *masks,
                        const unsigned char *at, const unsigned char *end)
{
    uint64_t one = masks[0], star = masks[1], star_star = masks[2], stars = star | star_star;
    uint64_t states = 1;
    states |= (states & stars) << 1;
    while (at < end && states) {
        PV_STEPS(1);
        uint32_t c = take_code_point(&at, end);
        uint32_t symbol = find_symbol(symbols, g->n_symbols, c);
        uint64_t literal = symbol < g->n_symbols ? masks[3 + symbol] : 0;
        uint64_t next = c == '/' ? ((states & literal) << 1) | (states & star_star)
                                 : ((states & (literal | one)) << 1) | (states & stars);
        states = next | (next & stars) << 1;
    }
    return states >> g->n & 1;
}

static bool match_long(const struct prepared *g, const uint32_t *symbols, const uint64_t *masks,
                       const unsigned char *at, const unsigned char *end)
{
    const uint64_t *one = masks, *star = masks + g->words, *star_star = masks + 2 * (size_t)g->words;
    uint64_t states[MAX_WORDS] = {1};
    states[0] |= (states[0] & (star[0] | star_star[0])) << 1;
    bool alive = true;
    while (at < end && alive) {
        PV_STEPS(g->words);
        uint32_t c = take_code_point(&at, end);
        uint32_t symbol = find_symbol(symbols, g->n_symbols, c);
        const uint64_t *literal = symbol < g->n_symbols ? masks + (3 + (size_t)symbol) * g->words : NULL;
        uint64_t moved = 0, followed = 0; /* what the word below shifts in */
        alive = false;
        for (uint32_t i = 0; i < g->words; i++) {
            uint64_t stars = star[i] | star_star[i];
            uint64_t move = states[i] & ((literal ? literal[i] : 0) | (c == '/' ? 0 : one[i]));
            uint64_t next = move << 1 | moved | (states[i] & (c == '/' ? star_star[i] : stars));
            moved = move >> 63;
            uint64_t follow = next & stars;
            states[i] = next | follow << 1 | followed;
            followed = follow >> 63;
            alive = alive || states[i];
        }
    }
    return states[g->n / 64] >> (g->n % 64) & 1;
}

bool pv_glob_match(const struct pv_globs *globs, uint32_t glob, const char *text, size_t len)
{
    const struct prepared *g = &globs->globs[glob];
    const uint32_t *symbols = globs->symbols + g->first_symbol;
    const uint64_t *masks = globs->masks + g->first_mask;
    const unsigned char *at = (const unsigned char *)text, *end = at + len;
    return g->words == 1 ? match_short(g, symbols, masks, at, end) : match_long(g, symbols, masks, at, end);
}

/*
 * Progress: on a terminal one line that is written over, as wide as the terminal and no wider; elsewhere a line when
 * something changed, so that a log stays readable. See selfserve.h.
 */
#include "agentd/client/selfserve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agentd/client/text.h"

enum {
    BAR = 24,
    NARROW = 50, /* columns below which there is no bar, only the number */
    STEP = 25,   /* per cent between two lines where there is no terminal */
};

static size_t terminal_columns(FILE *stream)
{
    struct winsize size = {0};
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void pv_progress_open(struct pv_progress *progress, FILE *stream)
{
    const char *term = getenv("TERM");
    memset(progress, 0, sizeof(*progress));
    progress->stream = stream;
    progress->percent = -1;
    progress->told = -STEP;
    progress->terminal = isatty(fileno(stream)) && term && *term && strcmp(term, "dumb") != 0;
}

static void draw(const struct pv_progress *progress, const char *safe)
{
    size_t columns = terminal_columns(progress->stream);
    char line[1024], bar[BAR + 1];
    if (progress->percent >= 0 && columns >= NARROW) {
        int filled = progress->percent * BAR / 100;
        for (int i = 0; i < BAR; i++)
            bar[i] = i < filled ? '#' : '.';
        bar[BAR] = '\0';
        snprintf(line, sizeof(line), "[%s] %3d%%  %s", bar, progress->percent, safe);
    } else if (progress->percent >= 0) {
        snprintf(line, sizeof(line), "%3d%% %s", progress->percent, safe);
    } else {
        snprintf(line, sizeof(line), "%s ...", safe);
    }
    /* One column stays free: some terminals wrap when the last one is written. */
    pv_text_cut(line, columns > 1 ? columns - 1 : 1);
    fprintf(progress->stream, "\r%s\033[K", line);
}

void pv_progress_show(struct pv_progress *progress, int percent, const char *text)
{
    if (percent > 100)
        percent = 100;
    char *safe = pv_text_safe(text, strnlen(text, sizeof(progress->text) - 1), false);
    if (!safe)
        return;
    bool changed = strcmp(safe, progress->text) != 0;
    /* It starts anew with each phase: fetching, then running. */
    bool step = percent < progress->told || percent >= progress->told + STEP;
    progress->percent = percent;
    snprintf(progress->text, sizeof(progress->text), "%s", safe);
    if (progress->terminal) {
        draw(progress, safe);
        progress->shown = true;
    } else if (changed && *safe && percent >= 0) {
        if (step)
            fprintf(progress->stream, "  %3d%%  %s\n", percent, safe);
        if (step)
            progress->told = percent;
    } else if (changed && *safe) {
        fprintf(progress->stream, "  %s\n", safe);
    }
    fflush(progress->stream);
    free(safe);
}

void pv_progress_clear(struct pv_progress *progress)
{
    if (progress->shown) {
        fputs("\r\033[K", progress->stream);
        fflush(progress->stream);
    }
    progress->shown = false;
}

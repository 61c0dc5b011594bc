/*
 * dpkg's log read from a mark: each test writes logs into a root of its own, as dpkg and logrotate would (or somebody
 * who means harm), and looks at what is told, where it ends and whether anything can have been missed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/log.h"

struct told {
    char text[4096];
    int left; /* removals that are taken before it has enough */
};

static char root[64], now[256], rotated[288], older[288];
static struct told told;
static struct pv_log_mark mark;
static char why[512];

static int setup(void **state)
{
    (void)state;
    char dir[128];
    snprintf(root, sizeof root, "/tmp/pv-dpkg-log.XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(dir, sizeof dir, "%s/var", root);
    assert_int_equal(mkdir(dir, 0755), 0);
    snprintf(dir, sizeof dir, "%s/var/log", root);
    assert_int_equal(mkdir(dir, 0755), 0);
    snprintf(now, sizeof now, "%s/dpkg.log", dir);
    snprintf(rotated, sizeof rotated, "%s.1", now);
    snprintf(older, sizeof older, "%s.2.gz", now);
    memset(&mark, 0, sizeof mark);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char dir[128];
    unlink(now);
    unlink(rotated);
    unlink(older);
    snprintf(dir, sizeof dir, "%s/var/log", root);
    rmdir(dir);
    snprintf(dir, sizeof dir, "%s/var", root);
    rmdir(dir);
    return rmdir(root);
}

static void add(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void line(const char *path, const char *moment, const char *text)
{
    char whole[256];
    int n = snprintf(whole, sizeof whole, "%s %s\n", moment, text);
    add(path, whole, (size_t)n);
}

static int tell(void *context, const char *name, const char *arch, const char *moment)
{
    struct told *t = context;
    size_t len = strlen(t->text);
    if (t->left-- == 0)
        return -1;
    snprintf(t->text + len, sizeof t->text - len, "%s:%s@%s ", name, arch, moment + 11);
    return 0;
}

/* Reads on from the mark, which moves. */
static bool read_on(void)
{
    struct pv_log_mark from = mark;
    told = (struct told){.left = 1000};
    return pv_log_read(root, &from, &mark, tell, &told, why, sizeof why);
}

/* The first reading, of everything: where nothing was read before, nothing is known. */
static void begin(void)
{
    assert_false(read_on());
    assert_true(mark.known);
}

static void removals_are_told_once(void **state)
{
    (void)state;
    begin();
    assert_true(mark.known && mark.offset == 0);
    assert_true(read_on());
    line(now, "2026-03-01 10:00:00", "startup archives unpack");
    line(now, "2026-03-01 10:00:01", "install vlc:amd64 <none> 3.0");
    line(now, "2026-03-01 10:00:02", "status installed vlc:amd64 3.0");
    line(now, "2026-03-01 10:00:03", "upgrade vlc:amd64 3.0 3.1");
    line(now, "2026-03-01 10:00:04", "remove vlc:amd64 3.1 <none>");
    assert_true(read_on());
    assert_string_equal(told.text, "");
    line(now, "2026-03-01 10:00:05", "status config-files vlc:amd64 3.1");
    line(now, "2026-03-01 10:00:06", "status not-installed fonts:all <none>");
    line(now, "2026-03-01 10:00:07", "install vlc:amd64 3.1 3.1");
    assert_true(read_on());
    assert_string_equal(told.text, "vlc:amd64@10:00:05 fonts:all@10:00:06 ");
    assert_true(read_on());
    assert_string_equal(told.text, "");
    /* The clock was set back: order counts, not time. */
    line(now, "2020-01-01 00:00:00", "status not-installed git:amd64 <none>");
    assert_true(read_on());
    assert_string_equal(told.text, "git:amd64@00:00:00 ");
}

static void an_unfinished_line_waits(void **state)
{
    (void)state;
    begin();
    add(now, "2026-03-01 10:00:05 status not-inst", 35);
    assert_true(read_on());
    assert_string_equal(told.text, "");
    add(now, "alled vlc:amd64 <none>\n", 23);
    assert_true(read_on());
    assert_string_equal(told.text, "vlc:amd64@10:00:05 ");
}

static void rotation_is_followed(void **state)
{
    (void)state;
    line(now, "2026-03-01 10:00:00", "install vlc:amd64 <none> 3.0");
    begin();
    line(now, "2026-03-02 10:00:00", "status not-installed vlc:amd64 <none>");
    assert_int_equal(rename(now, rotated), 0);
    line(now, "2026-03-03 10:00:00", "status not-installed git:amd64 <none>");
    assert_true(read_on());
    assert_string_equal(told.text, "vlc:amd64@10:00:00 git:amd64@10:00:00 ");
    /* Rotated, and the new one is empty, or not there yet: nothing old is told again. */
    assert_int_equal(rename(now, rotated), 0);
    assert_true(read_on());
    assert_string_equal(told.text, "");
    add(now, "", 0);
    assert_true(read_on());
    assert_string_equal(told.text, "");
    line(now, "2026-03-04 10:00:00", "status not-installed gimp:amd64 <none>");
    assert_true(read_on());
    assert_string_equal(told.text, "gimp:amd64@10:00:00 ");
    /* Twice. */
    line(now, "2026-03-05 10:00:00", "status not-installed nmap:amd64 <none>");
    assert_int_equal(rename(now, older), 0);
    unlink(rotated);
    line(rotated, "2026-03-06 10:00:00", "status not-installed vim:amd64 <none>");
    assert_false(read_on());
    assert_true(strstr(why, "neither") != NULL);
    assert_true(read_on()); /* from here on it is known again */
}

static void a_first_log_may_be_rotated_once(void **state)
{
    (void)state;
    begin();
    line(rotated, "2026-03-01 10:00:00", "status not-installed vlc:amd64 <none>");
    assert_true(read_on());
    assert_string_equal(told.text, "vlc:amd64@10:00:00 ");
    mark = (struct pv_log_mark){.known = true};
    add(older, "x", 1);
    assert_false(read_on());
}

static void a_changed_log_is_noticed(void **state)
{
    (void)state;
    line(now, "2026-03-01 10:00:00", "install vlc:amd64 <none> 3.0");
    line(now, "2026-03-01 10:00:01", "status installed vlc:amd64 3.0");
    begin();
    assert_int_equal(truncate(now, 49), 0); /* one line is left */
    assert_false(read_on());
    assert_true(read_on());
    line(now, "2026-03-01 10:00:02", "status installed vlc:amd64 3.0");
    assert_true(read_on());
    /* Another text of the same length in front of the mark, and then none. */
    unlink(now);
    line(now, "2026-03-01 10:00:00", "install git:amd64 <none> 3.0");
    line(now, "2026-03-01 10:00:02", "status installed git:amd64 3.0");
    assert_false(read_on());
    unlink(now);
    assert_false(read_on());
}

static void what_is_no_file_is_not_read(void **state)
{
    (void)state;
    begin();
    assert_int_equal(symlink("/etc/hostname", now), 0);
    assert_false(read_on());
    assert_false(mark.known);
    unlink(now);
    mark = (struct pv_log_mark){.known = true};
    assert_int_equal(mkfifo(now, 0644), 0);
    assert_false(read_on());
    assert_false(mark.known);
}

static void hostile_lines_say_nothing(void **state)
{
    (void)state;
    char *longest = malloc(300000);
    assert_non_null(longest);
    memset(longest, 'x', 300000);
    memcpy(longest, "2026-03-01 10:00:00 status not-installed ", 41);
    begin();
    add(now, longest, 300000);
    add(now, "\n\n \n", 4);
    add(now, "2026-03-01 10:00:00 status not-installed v\0lc:amd64 <none>\n", 59);
    line(now, "2026-03-01 10:00:00", "status not-installed ../etc:amd64 <none>");
    line(now, "2026-03-01 10:00:00", "status not-installed vlc <none>");
    line(now, "2026-03-01 10:00:00", "status not-installed vlc:amd64");
    line(now, "2026-03-01T10:00:00", "status not-installed vlc:amd64 <none>");
    line(now, "2026-03-01 10:00:00", "conffile status not-installed vlc:amd64 <none>");
    line(now, "2026-03-01 10:00:00", "status not-installed git:amd64 <none>");
    assert_true(read_on());
    assert_string_equal(told.text, "git:amd64@10:00:00 ");
    /* As long as the buffer, one less, one more. */
    for (size_t n = 4090; n < 4100; n++) {
        longest[n - 1] = '\n';
        add(now, longest, n);
        longest[n - 1] = 'x';
        line(now, "2026-03-01 10:00:01", "status not-installed git:amd64 <none>");
        assert_true(read_on());
        assert_string_equal(told.text, "git:amd64@10:00:01 ");
    }
    free(longest);
}

static void too_many_is_said(void **state)
{
    (void)state;
    struct pv_log_mark from = {.known = true};
    for (int i = 0; i < 3; i++)
        line(now, "2026-03-01 10:00:00", "status not-installed git:amd64 <none>");
    told = (struct told){.left = 2};
    assert_false(pv_log_read(root, &from, &mark, tell, &told, why, sizeof why));
}

static void marks_are_checked(void **state)
{
    (void)state;
    uint8_t bytes[PV_LOG_MARK_MAX];
    struct pv_log_mark back;
    struct pv_wbuf w;
    struct pv_rbuf r;
    line(now, "2026-03-01 10:00:00", "install vlc:amd64 <none> 3.0");
    begin();
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_log_mark_encode(&w, &mark);
    assert_false(w.overflow);
    pv_rbuf_init(&r, bytes, w.len);
    assert_true(pv_log_mark_decode(&r, &back) && pv_rbuf_done(&r) && pv_log_mark_same(&back, &mark));
    back.offset++; /* more in front of it than the tail holds, or less */
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_log_mark_encode(&w, &back);
    pv_rbuf_init(&r, bytes, w.len);
    assert_false(pv_log_mark_decode(&r, &back));
    assert_false(back.known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(removals_are_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unfinished_line_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(rotation_is_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_first_log_may_be_rotated_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_log_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_lines_say_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(marks_are_checked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

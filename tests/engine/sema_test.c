/* What semantic analysis makes of a policy, as facts about the checked form. What it refuses is in tests/lang/wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "runtime/bundle.h"

#define APT  "import \"std/apt.policy\";\n"
#define ROOT "policy t version 1 zone \"Europe/Paris\";\n" APT

static struct pv_compilation made;

static int free_made(void **state)
{
    (void)state;
    pv_compile_free(&made);
    return 0;
}

static void compile_for(enum pv_compile_goal goal, const char *text)
{
    static const char *const library[] = {"policies"};
    const struct pv_compile_options options = {.load = {.library = library, .n_library = 1}, .goal = goal};
    pv_compile_free(&made);
    assert_int_equal(pv_compile_text("tests/lang/right/t.policy", text, strlen(text), &options, &made), 0);
}

/* The checked form of a policy without mistakes. */
static const struct pv_ir *check(const char *text)
{
    compile_for(PV_COMPILE_CHECK, text);
    if (!made.ir)
        pv_diags_print(&made.program->diags, stderr, false, 0);
    assert_non_null(made.ir);
    return made.ir;
}

#define N_BUILTINS 4
static const struct pv_ir_rule *rule(uint32_t index)
{
    assert_true(N_BUILTINS + index < made.ir->n_rules);
    return &made.ir->rules[N_BUILTINS + index];
}

static const struct pv_ir_clause *clause(const struct pv_ir_rule *of, enum pv_clause_kind kind)
{
    for (uint32_t i = 0; i < of->n_clauses; i++)
        if (of->clauses[i].kind == kind)
            return &of->clauses[i];
    return NULL;
}

static const struct pv_ir_command *command(const char *name)
{
    for (uint32_t i = 0; i < made.ir->n_commands; i++)
        if (strcmp(made.ir->commands[i].name.ptr, name) == 0)
            return &made.ir->commands[i];
    fail_msg("no command %s", name);
    return NULL;
}

static const struct pv_ir_window *window(const char *name)
{
    for (uint32_t i = 0; i < made.ir->n_windows; i++)
        if (strcmp(made.ir->windows[i].name.ptr, name) == 0)
            return &made.ir->windows[i];
    fail_msg("no window %s", name);
    return NULL;
}

/* An expression as an s-expression, so that a test reads as what it expects. */
static void write_expr(FILE *out, const struct pv_ir_expr *e)
{
    static const char *const joins[] = {[PV_IR_NOT] = "not", [PV_IR_AND] = "and", [PV_IR_OR] = "or"};
    static const char *const cmps[] = {"==", "!=", "<", "<=", ">", ">="};
    const char *slot =
        e->slot < PV_N_BUILTIN ? pv_builtin_attrs[e->slot].path : made.ir->attrs[e->slot - PV_N_BUILTIN].path.ptr;
    const char *slot2 =
        e->slot2 < PV_N_BUILTIN ? pv_builtin_attrs[e->slot2].path : made.ir->attrs[e->slot2 - PV_N_BUILTIN].path.ptr;
    switch (e->kind) {
    case PV_IR_CONST: fprintf(out, "%s", e->number ? "true" : "false"); break;
    case PV_IR_NOT:
    case PV_IR_AND:
    case PV_IR_OR:
        fprintf(out, "(%s", joins[e->kind]);
        for (uint32_t i = 0; i < e->n_kids; i++) {
            fputc(' ', out);
            write_expr(out, e->kids[i]);
        }
        fputc(')', out);
        break;
    case PV_IR_HAS: fprintf(out, "(has %s)", slot); break;
    case PV_IR_BOOL: fprintf(out, "%s", slot); break;
    case PV_IR_INT: fprintf(out, "(%s %s %lld)", slot, cmps[e->cmp], (long long)e->number); break;
    case PV_IR_INT2: fprintf(out, "(%s %s %s)", slot, cmps[e->cmp], slot2); break;
    case PV_IR_STR: fprintf(out, "(%s == '%s')", slot, e->string.ptr); break;
    case PV_IR_STR2: fprintf(out, "(%s == %s)", slot, slot2); break;
    case PV_IR_IN:
    case PV_IR_OVERLAPS:
        fprintf(out, "(%s %s {", slot, e->kind == PV_IR_IN ? "in" : "overlaps");
        for (uint32_t i = 0; i < e->set->n_members; i++)
            fprintf(out, "%s%s", i ? " " : "", e->set->members[i].ptr);
        for (uint32_t i = 0; i < e->set->n_globs; i++)
            fprintf(out, " ~%s", e->set->globs[i].text.ptr);
        for (uint32_t i = 0; e->set->except && i < e->set->except->n_members; i++)
            fprintf(out, " -%s", e->set->except->members[i].ptr);
        fprintf(out, "})");
        break;
    case PV_IR_IN2: fprintf(out, "(%s in %s)", slot, slot2); break;
    case PV_IR_MEMBER: fprintf(out, "('%s' in %s)", e->string.ptr, slot); break;
    case PV_IR_OVERLAPS2: fprintf(out, "(%s overlaps %s)", slot, slot2); break;
    case PV_IR_LIKE: fprintf(out, "(%s like %s)", slot, e->glob->text.ptr); break;
    case PV_IR_VER: fprintf(out, "(%s %s v'%s' %s)", slot, cmps[e->cmp], e->string.ptr, pv_order_name(e->order)); break;
    case PV_IR_VER2: fprintf(out, "(%s %s %s %s)", slot, cmps[e->cmp], slot2, pv_order_name(e->order)); break;
    case PV_IR_IN_WINDOW: fprintf(out, "(window %s)", made.ir->windows[e->window].name.ptr); break;
    case PV_IR_OWN: fprintf(out, "own"); break;
    }
}

static void assert_expr(const struct pv_ir_expr *expr, const char *expected)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    write_expr(out, expr);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_clause(uint32_t of, enum pv_clause_kind kind, const char *text, const char *expr)
{
    const struct pv_ir_clause *found = clause(rule(of), kind);
    assert_non_null(found);
    assert_string_equal(found->text.ptr, text);
    assert_expr(found->expr, expr);
}

/* The expression of one `when` over a command with packages and sources. */
static void assert_when(const char *when, const char *canonical, const char *expr)
{
    char text[2048];
    snprintf(text, sizeof text,
             ROOT "role dev = group \"dev\";\nset tools = { \"git\", like \"c*\" };\nwindow night = 22:00..04:00;\n"
                  "attribute host.fast: bool;\nattribute host.seats: int;\nattribute host.tags: set of string;\n"
                  "attribute host.build: version(dpkg);\n"
                  "condition calm = transaction.removes == 0;\n"
                  "allow everyone to install when %s;",
             when);
    check(text);
    char shown[1024];
    snprintf(shown, sizeof shown, "when %s", canonical);
    assert_clause(0, PV_C_WHEN, shown, expr);
}

/* ---- Expressions ---- */

static void test_expressions(void **state)
{
    (void)state;
    assert_when("package.name==\"vlc\"", "package.name == \"vlc\"", "(package.name == 'vlc')");
    assert_when("\"vlc\" != package.name", "\"vlc\" != package.name", "(not (package.name == 'vlc'))");
    assert_when("500MB > transaction.download_size", "500MB > transaction.download_size",
                "(transaction.download_size < 500000000)");
    assert_when("transaction.download_size <= 1024", "transaction.download_size <= 1024",
                "(transaction.download_size <= 1024)");
    assert_when("transaction.download_size <= 2048MiB", "transaction.download_size <= 2GiB",
                "(transaction.download_size <= 2147483648)");
    assert_when("request.timeout >= 3600s", "request.timeout >= 1h", "(request.timeout >= 3600)");
    assert_when("time.clock < 22:00:30 and time.weekday == wed", "time.clock < 22:00:30 and time.weekday == wed",
                "(and (time.clock < 79230) (time.weekday == 2))");
    assert_when("time.date == 2026-12-31", "time.date == 2026-12-31", "(time.date == 20818)");
    assert_when("host.fast == true", "host.fast == true", "host.fast");
    assert_when("host.fast != true", "host.fast != true", "(not host.fast)");
    assert_when("host.fast != package.downgrade", "host.fast != package.downgrade",
                "(not (or (and host.fast package.downgrade) (and (not host.fast) (not package.downgrade))))");
    assert_when("host.seats < transaction.installs", "host.seats < transaction.installs",
                "(host.seats < transaction.installs)");
    assert_when("user.name in tools", "user.name in tools", "(user.name in {git ~c*})");
    assert_when("user.name in { \"a\" , like \"b\\*\" }", "user.name in { \"a\", like \"b\\*\" }",
                "(user.name in {a ~b\\*})");
    assert_when("\"x\" in user.groups", "\"x\" in user.groups", "('x' in user.groups)");
    assert_when("user.name in host.tags", "user.name in host.tags", "(user.name in host.tags)");
    assert_when("tools overlaps user.groups", "tools overlaps user.groups", "(user.groups overlaps {git ~c*})");
    assert_when("host.tags overlaps user.groups", "host.tags overlaps user.groups", "(host.tags overlaps user.groups)");
    assert_when("package.name like \"***x\"", "package.name like \"**x\"", "(package.name like **x)");
    assert_when("package.version >= \"1:2\"", "package.version >= \"1:2\"", "(package.version >= v'1:2' dpkg)");
    assert_when("\"1:2\" >= package.version", "\"1:2\" >= package.version", "(package.version <= v'1:2' dpkg)");
    assert_when("host.build < package.version", "host.build < package.version", "(host.build < package.version dpkg)");
    assert_when("user in dev and time in night", "user in dev and time in night",
                "(and ('dev' in user.groups) (window night))");
    assert_when("has package.section and package.section == \"x\"", "has package.section and package.section == \"x\"",
                "(and (has package.section) (package.section == 'x'))");
    assert_when("command == \"install\" and calm", "command == \"install\" and calm",
                "(and (command == 'install') (transaction.removes == 0))");
}

static void test_parentheses_only_where_needed(void **state)
{
    (void)state;
    assert_when("((calm or (host.fast))) and not (calm and host.fast)",
                "(calm or host.fast) and not (calm and host.fast)",
                "(and (or (transaction.removes == 0) host.fast) (not (and (transaction.removes == 0) host.fast)))");
    assert_when("(calm and host.fast) or (calm or host.fast)", "calm and host.fast or calm or host.fast",
                "(or (and (transaction.removes == 0) host.fast) (transaction.removes == 0) host.fast)");
    assert_when("not not (host.fast == true)", "not not host.fast == true", "host.fast");
}

static void test_constants_fold(void **state)
{
    (void)state;
    assert_when("true and host.fast", "true and host.fast", "host.fast");
    assert_when("false and host.fast", "false and host.fast", "false");
    assert_when("not false or host.fast", "not false or host.fast", "true");
    assert_when("host.fast and host.fast and host.fast", "host.fast and host.fast and host.fast",
                "(and host.fast host.fast host.fast)");
    assert_when("calm and calm", "calm and calm", "(transaction.removes == 0)");
}

/* ---- Rules ---- */

static void test_clause_order(void **state)
{
    (void)state;
    check(ROOT "window w = mon;\nsource s { type apt; location \"deb http://s.example/ x main\"; }\n"
               "allow user \"a\" to install, upgrade \"vlc\" from s until 2026-12-31 when package.downgrade\n"
               "    because \"one\" unless package.essential during w because \"two\";");
    const struct pv_ir_rule *r = rule(0);
    const enum pv_clause_kind kinds[] = {PV_C_SUBJECT, PV_C_COMMANDS, PV_C_OBJECT, PV_C_SOURCES,
                                         PV_C_UNTIL,   PV_C_WHEN,     PV_C_UNLESS, PV_C_DURING};
    assert_int_equal(r->n_clauses, 8);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(r->clauses[i].kind, kinds[i]);
    assert_clause(0, PV_C_SUBJECT, "user \"a\"", "(user.name == 'a')");
    assert_clause(0, PV_C_COMMANDS, "to install, upgrade", "(or (command == 'install') (command == 'upgrade'))");
    assert_clause(0, PV_C_OBJECT, "\"vlc\"", "(package.name == 'vlc')");
    assert_clause(0, PV_C_SOURCES, "from s", "(source.name == 's')");
    assert_clause(0, PV_C_UNTIL, "until 2026-12-31", "(time.date <= 20818)");
    assert_clause(0, PV_C_UNLESS, "unless package.essential", "(not package.essential)");
    assert_clause(0, PV_C_DURING, "during w", "(window w)");
    assert_int_equal(r->n_because, 2);
    assert_string_equal(r->because[0].ptr, "one");
    assert_string_equal(r->because[1].ptr, "two");
}

static void test_silence_is_strict(void **state)
{
    (void)state;
    check(ROOT
          "allow everyone to install;\nallow everyone to install, uninstall;\nallow everyone to uninstall;\n"
          "deny everyone to install;\nrequire reason for everyone to install;\nallow everyone to install from any;\n"
          "allow user \"a\" to any;");
    assert_clause(0, PV_C_SOURCES, "from self_service", "source.self_service");
    assert_clause(1, PV_C_SOURCES, "from self_service", "(or (not (has source.name)) source.self_service)");
    assert_null(clause(rule(2), PV_C_SOURCES));
    assert_null(clause(rule(3), PV_C_SOURCES));
    assert_null(clause(rule(4), PV_C_SOURCES));
    assert_clause(5, PV_C_SOURCES, "from any", "true");
    assert_clause(6, PV_C_SOURCES, "from self_service", "(or (not (has source.name)) source.self_service)");
}

static void test_any_is_what_has_it(void **state)
{
    (void)state;
    check(ROOT "command extra { run \"/bin/x\"; }\n"
               "allow user \"a\" to any;\nallow user \"a\" to any \"vlc\";\nallow user \"a\" to any from any;\n"
               "direct user \"a\";");
    assert_clause(
        0, PV_C_COMMANDS, "to any",
        "(command in {install upgrade download uninstall info pin list search outdated optimize sync extra})");
    assert_clause(1, PV_C_COMMANDS, "to any", "(command in {install upgrade download uninstall info pin})");
    assert_clause(2, PV_C_COMMANDS, "to any", "(command in {install upgrade download})");
}

static void test_objects(void **state)
{
    (void)state;
    check(ROOT "set tools = { \"git\", like \"c*\" };\n"
               "allow everyone to install tools except { \"cc\", \"cd\" };\nallow everyone to install except \"x\";\n"
               "allow everyone to uninstall own;\nallow everyone to install like \"a?\";");
    assert_clause(0, PV_C_OBJECT, "tools except { \"cc\", \"cd\" }",
                  "(and (package.name in {git ~c*}) (not (package.name in {cc cd})))");
    assert_clause(1, PV_C_OBJECT, "except \"x\"", "(not (package.name == 'x'))");
    assert_clause(2, PV_C_OBJECT, "own", "own");
    assert_clause(3, PV_C_OBJECT, "like \"a?\"", "(package.name like a?)");
}

static void test_dependencies(void **state)
{
    (void)state;
    check(ROOT "allow everyone to install \"git\" with dependencies from any;\n"
               "allow everyone to download { \"git\", like \"c*\" } with dependencies from any;\n"
               "allow everyone to install except \"x\" with dependencies from any;");
    assert_int_equal(rule(0)->flags, PVB_RULE_WITH_DEPENDENCIES | PVB_RULE_NAMES_LITERALLY);
    assert_clause(0, PV_C_COMMANDS, "to install", "(or (command == 'install') (command == 'upgrade'))");
    assert_clause(0, PV_C_OBJECT, "\"git\" with dependencies",
                  "(or (and (command == 'install') (package.name == 'git')) "
                  "(and (or (command == 'install') (command == 'upgrade')) ('git' in package.wanted_by)))");
    assert_clause(1, PV_C_OBJECT, "{ \"git\", like \"c*\" } with dependencies",
                  "(or (and (command == 'download') (package.name in {git ~c*})) "
                  "(and (or (command == 'install') (command == 'upgrade')) (package.wanted_by overlaps {git ~c*})))");
    assert_clause(2, PV_C_OBJECT, "except \"x\" with dependencies",
                  "(or (and (command == 'install') (not (package.name == 'x'))) "
                  "(and (or (command == 'install') (command == 'upgrade')) (package.wanted_by overlaps { ~** -x})))");
}

static void test_roles_are_shared_and_merged(void **state)
{
    (void)state;
    check(ROOT "role a = user \"u1\" or user \"u2\" or group \"g\" or user \"u3\" or user \"u4\";\n"
               "allow a to install;\nallow not a and (a or everyone) to upgrade;\nallow admin to list;");
    assert_clause(0, PV_C_SUBJECT, "a", "(or (user.name in {u1 u2 u3 u4}) ('g' in user.groups))");
    assert_clause(1, PV_C_SUBJECT, "not a and (a or everyone)",
                  "(not (or (user.name in {u1 u2 u3 u4}) ('g' in user.groups)))");
    assert_ptr_equal(clause(rule(1), PV_C_SUBJECT)->expr->kids[0], clause(rule(0), PV_C_SUBJECT)->expr);
    assert_clause(2, PV_C_SUBJECT, "admin", "(or (user.name == 'root') ('sudo' in user.groups))");
}

static void test_annotations(void **state)
{
    (void)state;
    check(ROOT "@id(\"x\") @ticket(\"T-1\") @title(\"Title\")\nallow everyone to install;\nallow everyone to list;");
    assert_string_equal(rule(0)->id.ptr, "x");
    assert_int_equal(rule(0)->n_annotations, 2);
    assert_string_equal(rule(0)->annotations[0].name.ptr, "ticket");
    assert_string_equal(rule(0)->annotations[1].value.ptr, "Title");
    assert_int_equal(rule(1)->id.len, 0);
    assert_int_equal(rule(1)->flags, 0);
}

static void test_duties(void **state)
{
    (void)state;
    check(ROOT "role r = group \"g\";\nwindow w = mon;\nwindow v = tue;\n"
               "require approval by (r or (user \"x\")) for everyone to install;\n"
               "require window w or v for everyone to install;\nrequire timeout 90s for everyone to install;\n"
               "require account \"worker\" for everyone to install;");
    assert_int_equal(rule(0)->n_duties, 1);
    assert_string_equal(rule(0)->duties->text.ptr, "r or user \"x\"");
    assert_int_equal(rule(0)->duties->clause->kind, PV_C_DUTY);
    assert_expr(rule(0)->duties->clause->expr, "(or ('g' in user.groups) (user.name == 'x'))");
    assert_string_equal(rule(1)->duties->text.ptr, "w or v");
    assert_expr(rule(1)->duties->clause->expr, "(or (window w) (window v))");
    assert_int_equal(rule(2)->duties->seconds, 90);
    assert_null(rule(2)->duties->clause);
    assert_string_equal(rule(3)->duties->text.ptr, "worker");
}

/* ---- Built-in rules ---- */

static void test_builtins(void **state)
{
    (void)state;
    const struct pv_ir *ir = check(ROOT "role admin = group \"wheel\";");
    assert_int_equal(ir->n_rules, N_BUILTINS);
    static const char *const ids[] = {"builtin:never-brokered", "builtin:admin-only", "builtin:disabled",
                                      "builtin:protected"};
    for (int i = 0; i < N_BUILTINS; i++) {
        assert_int_equal(ir->rules[i].kind, PV_RULE_BUILTIN_DENY);
        assert_string_equal(ir->rules[i].id.ptr, ids[i]);
        assert_int_equal(ir->rules[i].span.file, PV_NO_FILE);
    }
    assert_expr(ir->rules[0].clauses[0].expr, "(command in {config feature source apikey})");
    assert_expr(ir->rules[1].clauses[0].expr, "(not ('wheel' in user.groups))");
    assert_expr(ir->rules[3].clauses[2].expr, "true");
}

static void test_protection_is_lifted_literally(void **state)
{
    (void)state;
    const struct pv_ir *ir =
        check(ROOT "set named = { \"b\" };\n"
                   "allow user \"u\" to uninstall \"a\";\nallow user \"u\" to uninstall named;\n"
                   "allow user \"u\" to uninstall like \"c*\";\nallow user \"u\" to uninstall { \"d\", named };\n"
                   "allow user \"u\" to install \"e\";\ndeny user \"u\" to uninstall \"f\";\n"
                   "allow user \"u\" to uninstall { \"g\", \"h\" };");
    assert_expr(ir->rules[3].clauses[2].expr,
                "(not (or (and (user.name == 'u') (command == 'uninstall') (package.name == 'a')) "
                "(and (user.name == 'u') (command == 'uninstall') (package.name in {d b}) (package.name == 'd')) "
                "(and (user.name == 'u') (command == 'uninstall') (package.name in {g h}))))");
    static const unsigned literal[] = {1, 0, 0, 0, 1, 0, 1};
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(rule(i)->flags & PVB_RULE_NAMES_LITERALLY, literal[i] * PVB_RULE_NAMES_LITERALLY);
}

/* ---- Declarations ---- */

static void test_sets(void **state)
{
    (void)state;
    const struct pv_ir *ir =
        check(ROOT "set games = file \"games.txt\";\nset small = { \"a\", games, \"a\", like \"x*\" };\n"
                   "set big = { small, \"b\", small, like \"x*\", \"supertux\" };\n"
                   "allow everyone to install big;");
    assert_clause(0, PV_C_OBJECT, "big", "(package.name in {a gnome-chess supertux b ~x*})");
    assert_int_equal(ir->sets[clause(rule(0), PV_C_OBJECT)->expr->set->index]->n_globs, 1);
}

static void test_globs(void **state)
{
    (void)state;
    check(ROOT "allow everyone to install like \"a\\\\*\\*\\?**?\u00e9\";");
    const struct pv_ir_glob *glob = clause(rule(0), PV_C_OBJECT)->expr->glob;
    const uint32_t tokens[] = {'a', '\\', PVB_GLOB_STAR, '*', '?', PVB_GLOB_STAR_STAR, PVB_GLOB_ONE, 0xe9};
    assert_int_equal(glob->n_tokens, 8);
    assert_memory_equal(glob->tokens, tokens, sizeof tokens);
}

static void test_windows(void **state)
{
    (void)state;
    check(ROOT "window late = quiet or 2nd tue, sat..mon 2026-12-24..2027-01-02, --02-29 22:00..04:00, 12:00..24:00\n"
               "    except --12-25 zone \"UTC\";\n"
               "window quiet = fri zone host;\nallow everyone to install during late;");
    const struct pv_ir_window *quiet = window("quiet"), *late = window("late");
    assert_true(quiet < late);
    assert_true(quiet->zone_host);
    assert_int_equal(quiet->alts->day_mask, 1u << 4);
    assert_string_equal(late->zone.ptr, "UTC");
    assert_int_equal(late->n_alts, 2);
    assert_int_equal(late->alts[0].ref, quiet - made.ir->windows);
    const struct pv_ir_window_alt *alt = &late->alts[1];
    assert_int_equal(alt->ref, UINT32_MAX);
    assert_int_equal(alt->day_mask, 1u << 5 | 1u << 6 | 1u << 0);
    assert_int_equal(alt->n_days, 1);
    assert_int_equal(alt->days[0].nth, 2);
    assert_int_equal(alt->days[0].weekday, 1);
    assert_int_equal(alt->n_dates, 2);
    assert_int_equal(alt->dates[0].from, 20811);
    assert_int_equal(alt->dates[0].to, 20820);
    assert_true(alt->dates[1].yearly);
    assert_int_equal(alt->dates[1].from, 229);
    assert_int_equal(alt->clocks[0].from, 22 * 3600);
    assert_int_equal(alt->clocks[1].to, 86400);
    const struct pv_ir_window *except = &made.ir->windows[alt->except];
    assert_int_equal(late->alts[0].except, alt->except);
    assert_int_equal(except->name.len, 0);
    assert_string_equal(except->zone.ptr, "UTC");
    assert_int_equal(except->alts->dates[0].from, 1225);
}

static void test_sources(void **state)
{
    (void)state;
    const struct pv_ir *ir = check(
        ROOT "source a { type apt; location \"deb http://a.example/ x main\"; priority 3; self_service; key \"/k\"; }\n"
             "source b { type apt; location \"deb http://b.example/ x main\"; admin_only; disabled; unsigned;\n"
             "    credentials \"secret-name\"; }\n"
             "sources ab = a or not b;\nallow everyone to install from ab and self_service;");
    assert_int_equal(ir->n_sources, 2);
    assert_int_equal(ir->sources[0].priority, 3);
    assert_int_equal(ir->sources[0].flags, PVB_SOURCE_SELF_SERVICE);
    assert_string_equal(ir->sources[0].key.ptr, "/k");
    assert_int_equal(ir->sources[1].flags, PVB_SOURCE_ADMIN_ONLY | PVB_SOURCE_DISABLED | PVB_SOURCE_UNSIGNED);
    assert_string_equal(ir->sources[1].credentials.ptr, "secret-name");
    assert_clause(0, PV_C_SOURCES, "from ab and self_service",
                  "(and (or (source.name == 'a') (not (source.name == 'b'))) source.self_service)");
}

static void test_commands(void **state)
{
    (void)state;
    check("command restart { argument unit: string in { \"a\" }; option --no-block; option --lines: int;\n"
          "  run \"/bin/s\" \"go\" option.no-block option.lines \"--\" argument.unit; account requester; timeout 90s;\n"
          "  environment \"LANG\" \"C\"; }\n"
          "command other { packages; argument unit: string; run \"/bin/o\" \"--\" argument.unit package.name; account "
          "\"root\"; }");
    const struct pv_ir_command *c = command("restart"), *other = command("other");
    assert_int_equal(c->n_parameters, 3);
    assert_int_equal(c->parameters[0].kind, PVB_ARGUMENT);
    assert_int_equal(c->parameters[0].slot, other->parameters[0].slot);
    assert_non_null(c->parameters[0].set);
    assert_null(other->parameters[0].set);
    assert_int_equal(c->parameters[1].kind, PVB_FLAG);
    assert_int_equal(made.ir->attrs[c->parameters[1].slot - PV_N_BUILTIN].type, PV_T_BOOL);
    assert_int_equal(made.ir->attrs[c->parameters[1].slot - PV_N_BUILTIN].flags, PV_ATTR_DEFAULT);
    assert_int_equal(made.ir->attrs[c->parameters[2].slot - PV_N_BUILTIN].flags, PV_ATTR_OPT);
    assert_int_equal(c->n_templates, 6);
    assert_int_equal(c->templates[2].kind, PVB_T_OPTION);
    assert_int_equal(c->templates[5].kind, PVB_T_SLOT);
    assert_int_equal(other->templates[3].slot, PV_A_PACKAGE_NAME);
    assert_string_equal(c->account.ptr, "requester");
    assert_string_equal(other->account.ptr, "root");
    assert_int_equal(c->timeout, 90);
    assert_int_equal(c->n_env, 1);
    assert_int_equal(other->flags, PVB_COMMAND_PACKAGES);
}

static void assert_required(const char *name, const char *expected)
{
    char text[512] = "";
    const struct pv_ir_command *c = command(name);
    for (uint32_t i = 0; i < c->n_required; i++) {
        assert_true(!i || c->required[i - 1] < c->required[i]);
        uint16_t slot = c->required[i];
        strcat(text, slot < PV_N_BUILTIN ? pv_builtin_attrs[slot].path : made.ir->attrs[slot - PV_N_BUILTIN].path.ptr);
        strcat(text, " ");
    }
    assert_string_equal(text, expected);
}

static void test_required(void **state)
{
    (void)state;
    check(ROOT
          "attribute host.a: int;\nattribute host.b: int;\nattribute host.c: int;\nattribute host.d: int optional;\n"
          "command go { argument x: string; option --y: int; run \"/bin/g\" \"--\" argument.x; }\n"
          "condition reads = host.b > 1;\n"
          "allow everyone to install when package.version > \"1\" and has host.c and host.c > 2;\n"
          "deny everyone to any when host.a > 1;\nrequire reason for everyone to uninstall when reads;\n"
          "allow everyone to list when has host.d and host.d > 1;\n"
          "deny everyone to any \"vlc\" when package.architecture == \"amd64\" and user.uid > 1;\n"
          "assert \"x\": never allow everyone to pin when host.c > 1;");
    assert_required("install",
                    "user.name command package.name package.version package.architecture source.name host.a ");
    assert_required("uninstall", "user.name command package.name package.architecture host.a host.b ");
    assert_required("list", "user.name command host.a ");
    assert_required("go", "user.name command host.a argument.x ");
    assert_required("pin", "user.name command package.name package.architecture host.a ");
}

static void test_imports_come_where_they_stand(void **state)
{
    (void)state;
    static const char *const library[] = {"policies"};
    const struct pv_compile_options options = {.load = {.library = library, .n_library = 1}};
    assert_int_equal(pv_compile_file("tests/lang/imports/order.policy", &options, &made), 0);
    assert_non_null(made.ir);
    static const char *const ids[] = {"before", "from-library", "after"};
    static const unsigned flags[] = {0, PVB_RULE_LIBRARY, 0};
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(rule(i)->id.ptr, ids[i]);
        assert_int_equal(rule(i)->flags & PVB_RULE_LIBRARY, flags[i]);
    }
    /* The library's `admin` is the root's. */
    assert_clause(1, PV_C_SUBJECT, "helper", "(or ('helpers' in user.groups) ('wheel' in user.groups))");
}

/* ---- Tests and assertions ---- */

static void test_tests(void **state)
{
    (void)state;
    const struct pv_ir *ir = check(
        ROOT
        "source s { type apt; location \"deb http://s.example/ x main\"; }\n@id(\"i\") allow everyone to install;\n"
        "test \"t\" { expect allow install \"a\", \"b\" from s with package.installed = true by i, "
        "\"builtin:disabled\"\n"
        "    requiring reason, timeout 10m because \"why\";\n"
        "  user \"u\" in \"g\", \"h\"; given user.uid = 7; given package.wanted_by = { \"x\", \"y\" };\n"
        "  time \"2026-11-21T10:00:00.25+01:30\"; expect direct list; expect deny apikey; }");
    const struct pv_ir_test *t = &ir->tests[0];
    assert_int_equal(ir->n_tests, 1);
    assert_string_equal(t->user.ptr, "u");
    assert_int_equal(t->n_groups, 2);
    assert_string_equal(t->groups[1].ptr, "h");
    assert_int_equal(t->uid, 7);
    assert_int_equal(t->time, 1795249800);
    assert_int_equal(t->n_given, 2);
    assert_int_equal(t->given[1].value.n_members, 2);
    assert_int_equal(t->n_expects, 3);
    const struct pv_ir_expect *e = &t->expects[0];
    assert_int_equal(e->effect, PV_ALLOW);
    assert_int_equal(e->n_objects, 2);
    assert_string_equal(e->objects[1].ptr, "b");
    assert_string_equal(e->source.ptr, "s");
    assert_int_equal(e->with[0].slot, PV_A_PACKAGE_INSTALLED);
    assert_int_equal(e->with[0].value.number, 1);
    assert_int_equal(e->n_by, 2);
    assert_int_equal(e->n_requiring, 2);
    assert_int_equal(e->requiring[1].seconds, 600);
    assert_string_equal(e->because[0].ptr, "why");
    assert_int_equal(t->expects[1].effect, PV_DIRECT);
    assert_int_equal(t->expects[1].n_objects, 0);
    assert_int_equal(t->expects[2].effect, PV_DENY);
}

static void test_assertions(void **state)
{
    (void)state;
    const struct pv_ir *ir =
        check(ROOT "attribute host.x: bool;\n"
                   "assert \"a\": never allow everyone to install;\n"
                   "assert \"b\": always deny user \"x\" to list;\n"
                   "assert \"c\": always allow everyone to list;\n"
                   "assert \"d\": sometimes allow everyone to install \"git\" from not self_service;\n"
                   "assert \"e\": always require timeout 5m for everyone to list unless host.x;");
    static const enum pv_ir_assert_form forms[] = {PV_IR_NEVER_ALLOW, PV_IR_ALWAYS_DENY, PV_IR_ALWAYS_ALLOW,
                                                   PV_IR_SOMETIMES_ALLOW, PV_IR_ALWAYS_REQUIRE};
    static const uint32_t n_clauses[] = {2, 2, 2, 4, 3}; /* silence reaches all sources */
    assert_int_equal(ir->n_asserts, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(ir->asserts[i].form, forms[i]);
        assert_int_equal(ir->asserts[i].n_clauses, n_clauses[i]);
    }
    assert_expr(ir->asserts[3].clauses[3].expr, "(not source.self_service)");
    assert_expr(ir->asserts[4].clauses[2].expr, "(not host.x)");
    assert_int_equal(ir->asserts[4].duty->seconds, 300);
}

/* ---- The pipeline ---- */

static bool told(enum pv_diag_code code)
{
    for (size_t i = 0; i < made.program->diags.n; i++)
        if (made.program->diags.list[i]->code == code)
            return true;
    return false;
}

static void test_goals(void **state)
{
    (void)state;
    const char *library = APT "allow everyone to install;";
    compile_for(PV_COMPILE_EVALUATE, library);
    assert_non_null(made.bundle);
    assert_true(made.ir->is_library);
    compile_for(PV_COMPILE_BUNDLE, library);
    assert_null(made.bundle);
    assert_null(made.ir);
    assert_true(told(PV_DIAG_LIBRARY_BUNDLE));
    const char *root = ROOT "assert \"a\": never allow everyone to install;";
    compile_for(PV_COMPILE_CHECK, root);
    assert_null(made.bundle);
    assert_false(told(PV_DIAG_UNPROVEN_ASSERTION));
    compile_for(PV_COMPILE_BUNDLE, root);
    assert_non_null(made.bundle);
    assert_true(told(PV_DIAG_UNPROVEN_ASSERTION));
}

static void test_errors_leave_nothing(void **state)
{
    (void)state;
    compile_for(PV_COMPILE_BUNDLE, ROOT "allow nobody to install;");
    assert_null(made.ir);
    assert_null(made.bundle);
    assert_int_equal(pv_diags_errors(&made.program->diags), 1);
    /* Where the text does not parse, what is unknown may have stood there. */
    compile_for(PV_COMPILE_BUNDLE, ROOT "role dev = ;\nallow dev to install when 3 == 4;");
    assert_null(made.ir);
    assert_false(told(PV_DIAG_UNKNOWN_NAME));
    assert_true(told(PV_DIAG_CONSTANT));
}

/* ---- Limits ---- */

/* Whether a policy of a head, `n` lines that `format` makes of their number, and a tail is refused with a code. */
static bool many_are_refused(const char *format, unsigned n, const char *tail, enum pv_diag_code code)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs(ROOT, out);
    for (unsigned i = 0; i < n; i++)
        fprintf(out, format, i, i + 1); /* NOLINT(clang-diagnostic-format-nonliteral) */
    fputs(tail, out);
    fclose(out);
    compile_for(PV_COMPILE_CHECK, text);
    free(text);
    bool refused = told(code);
    assert_true(refused == !made.ir);
    return refused;
}

static void test_limits(void **state)
{
    (void)state;
    unsigned room = 4096 - PV_N_BUILTIN;
    assert_false(many_are_refused("attribute host.a%u: int;\n", room, "", PV_DIAG_TOO_MANY_ATTRIBUTES));
    assert_true(many_are_refused("attribute host.a%u: int;\n", room + 1, "", PV_DIAG_TOO_MANY_ATTRIBUTES));
    assert_false(many_are_refused("window w%u = mon zone \"A/B%u\";\n", 1022, "", PV_DIAG_TOO_COMPLEX));
    assert_true(many_are_refused("window w%u = mon zone \"A/B%u\";\n", 1023, "", PV_DIAG_TOO_COMPLEX));
    assert_true(many_are_refused("set s%u = { \"%u\" };\n", 1, "", PV_DIAG_TOO_COMPLEX) == false);
    assert_true(
        many_are_refused("set s%2$u = { s%1$u, \"x%1$u\" };\n", 4000, "set s0 = { \"y\" };", PV_DIAG_TOO_COMPLEX));

    char glob[1100];
    memset(glob, 'x', sizeof glob);
    snprintf(glob + 1024, sizeof glob - 1024, "\";");
    char text[2048];
    snprintf(text, sizeof text, ROOT "allow everyone to install like \"%s", glob);
    check(text);
    snprintf(text, sizeof text, ROOT "allow everyone to install like \"y%s", glob);
    compile_for(PV_COMPILE_CHECK, text);
    assert_true(told(PV_DIAG_GLOB_TOO_LONG));
}

/* A chain of names as long as the policy: nothing recurses over declarations. */
static void test_long_chains(void **state)
{
    (void)state;
    assert_false(many_are_refused("role r%u = r%u;\n", 50000, "role r50000 = user \"x\";", PV_DIAG_TOO_COMPLEX));
    assert_false(many_are_refused("condition c%u = c%u;\n", 50000,
                                  "condition c50000 = package.downgrade;\n"
                                  "allow everyone to install when c0;",
                                  PV_DIAG_TOO_COMPLEX));
    assert_true(many_are_refused("set s%u = { s%u };\n", 50000, "set s50000 = { s0 };", PV_DIAG_NAME_CYCLE));
    assert_true(many_are_refused("sources u%u = not u%u or self_service;\n", 600,
                                 "sources u600 = self_service;\n"
                                 "allow everyone to install from u0;",
                                 PV_DIAG_TOO_COMPLEX));
}

/* With any amount of memory: a result, or none and no crash. */
static void test_memory_ends_anywhere(void **state)
{
    (void)state;
    static const char *const library[] = {"policies"};
    unsigned good = 0, ended = 0;
    for (size_t memory = 16 << 10; memory < 640 << 10; memory += 8 << 10) {
        const struct pv_compile_options options = {
            .load = {.library = library, .n_library = 1}, .goal = PV_COMPILE_EVALUATE, .memory = memory};
        int error = pv_compile_file("policies/workstations_test.policy", &options, &made);
        assert_true(error == 0 || error == PV_E_NOMEM);
        assert_true(error || made.bundle);
        good += !error;
        ended += error != 0;
        pv_compile_free(&made);
    }
    assert_true(good && ended);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, free_made)
    const struct CMUnitTest tests[] = {
        T(test_expressions),
        T(test_parentheses_only_where_needed),
        T(test_constants_fold),
        T(test_clause_order),
        T(test_silence_is_strict),
        T(test_any_is_what_has_it),
        T(test_objects),
        T(test_dependencies),
        T(test_roles_are_shared_and_merged),
        T(test_annotations),
        T(test_duties),
        T(test_builtins),
        T(test_protection_is_lifted_literally),
        T(test_sets),
        T(test_globs),
        T(test_windows),
        T(test_sources),
        T(test_commands),
        T(test_required),
        T(test_imports_come_where_they_stand),
        T(test_tests),
        T(test_assertions),
        T(test_goals),
        T(test_errors_leave_nothing),
        T(test_limits),
        T(test_long_chains),
        T(test_memory_ends_anywhere),
    };
    return cmocka_run_group_tests_name("sema", tests, NULL, NULL);
}

/* The program `decide`, as straightforward as it can be: every rule in the order in which effects win, each a chain of
 * tests that jumps to the next rule when one fails and returns the effect when all hold.
 *
 *     direct rules     ... return direct
 *     plan entry:      operations of a plan start here
 *     deny rules       ... return deny      (built-in ones first)
 *     allow rules      ... return allow
 *                          return none
 *
 * The first match decides, since nothing after it can win. Requires are no part of a verdict. Targets are label numbers
 * until resolve() replaces them; a label is always bound behind the jumps to it, so every jump goes forward. Code that
 * no path reaches (behind a rule that always matches) is not made, since the verifier accepts none. */
#include "engine/emit.h"

struct decide {
    struct pv_emit *emit;
    uint32_t *labels; /* label to instruction */
    size_t n_labels, labels_capacity;
};

static uint32_t new_label(struct decide *decide)
{
    decide->labels = pv_arena_grow(decide->emit->arena, decide->labels, decide->n_labels, &decide->labels_capacity,
                                   decide->n_labels + 1, sizeof(uint32_t));
    decide->labels[decide->n_labels] = 0;
    return (uint32_t)decide->n_labels++;
}

static void bind_label(struct decide *decide, uint32_t label)
{
    decide->labels[label] = pv_emit_count(decide->emit, PVB_DECIDE);
}

/* Code that goes to `yes` where the node is true and to `no` where it is false. The caller binds both behind it. */
static void jump_on(struct decide *decide, uint32_t number, uint32_t yes, uint32_t no)
{
    struct pv_emit *emit = decide->emit;
    const struct pv_emit_node *node = &emit->nodes[number];
    const uint32_t *kids = emit->kids + node->first_kid;
    if (node->kind == PV_IR_NOT) {
        jump_on(decide, kids[0], no, yes);
        return;
    }
    if (node->kind != PV_IR_AND && node->kind != PV_IR_OR) {
        struct pvb_insn insn = pv_emit_test(node);
        insn.jt = yes;
        insn.jf = no;
        *(struct pvb_insn *)pv_emit_row(emit, PVB_DECIDE) = insn;
        return;
    }
    for (uint32_t i = 0; i + 1 < node->n_kids; i++) {
        uint32_t next = new_label(decide);
        if (node->kind == PV_IR_AND)
            jump_on(decide, kids[i], next, no);
        else
            jump_on(decide, kids[i], yes, next);
        bind_label(decide, next);
    }
    jump_on(decide, kids[node->n_kids - 1], yes, no);
}

static void emit_return(struct decide *decide, enum pv_join effect)
{
    *(struct pvb_insn *)pv_emit_row(decide->emit, PVB_DECIDE) =
        (struct pvb_insn){.op = PVB_OP_RETURN, .arg = (uint32_t)effect};
}

enum outcome { NEVER, SOMETIMES, ALWAYS };

static enum outcome emit_rule(struct decide *decide, const struct pvb_rule *rule, enum pv_join effect)
{
    const uint32_t *roots = decide->emit->roots + rule->first_clause;
    bool certain = true;
    for (uint32_t c = 0; c < rule->n_clauses; c++) {
        if (roots[c] == PV_EMIT_FALSE)
            return NEVER;
        certain = certain && roots[c] == PV_EMIT_TRUE;
    }
    uint32_t fails = new_label(decide);
    for (uint32_t c = 0; c < rule->n_clauses; c++) {
        if (roots[c] == PV_EMIT_TRUE)
            continue;
        uint32_t holds = new_label(decide);
        jump_on(decide, roots[c], holds, fails);
        bind_label(decide, holds);
    }
    emit_return(decide, effect);
    bind_label(decide, fails);
    return certain ? ALWAYS : SOMETIMES;
}

/* All rules of a kind. True where one of them always matches, so that nothing behind it is reached from here. */
static bool emit_rules(struct decide *decide, enum pv_rule_kind kind, enum pv_join effect)
{
    const struct pvb_rule *rules = decide->emit->section[PVB_RULES].rows;
    for (uint32_t r = 0; r < pv_emit_count(decide->emit, PVB_RULES); r++)
        if (rules[r].kind == kind && emit_rule(decide, &rules[r], effect) == ALWAYS)
            return true;
    return false;
}

static void resolve(struct decide *decide)
{
    struct pvb_insn *code = decide->emit->section[PVB_DECIDE].rows;
    for (uint32_t i = 0; i < pv_emit_count(decide->emit, PVB_DECIDE); i++) {
        if (code[i].op == PVB_OP_RETURN)
            continue;
        code[i].jt = decide->labels[code[i].jt];
        code[i].jf = decide->labels[code[i].jf];
    }
}

void pv_emit_decide(struct pv_emit *emit)
{
    struct decide decide = {.emit = emit};
    new_label(&decide); /* so that there is a table, even of a program without jumps */
    emit_rules(&decide, PV_RULE_DIRECT, PV_JOIN_DIRECT);
    emit->plan_entry = pv_emit_count(emit, PVB_DECIDE);
    if (!emit_rules(&decide, PV_RULE_BUILTIN_DENY, PV_JOIN_DENY) && !emit_rules(&decide, PV_RULE_DENY, PV_JOIN_DENY) &&
        !emit_rules(&decide, PV_RULE_ALLOW, PV_JOIN_ALLOW))
        emit_return(&decide, PV_JOIN_NONE);
    resolve(&decide);
}

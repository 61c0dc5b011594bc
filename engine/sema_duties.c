/* What a require asks for, in rules, assertions and tests alike. */
#include "engine/sema.h"

#include <string.h>

static bool tell(struct pv_sema *sema, struct pv_span span, const char *fault)
{
    pv_report(sema->diags, PV_DIAG_DUTY_VALUE, span, "%s", fault);
    return false;
}

/* A duty's own clause: who satisfies it, or when it is open. */
static bool add_clause(struct pv_sema *sema, struct pv_ir_duty *out, struct pv_ir_expr *expr, struct pv_text text,
                       struct pv_span span)
{
    if (!expr || !pv_ir_fits(sema, expr, span))
        return false;
    out->text = pv_ir_str(text);
    out->clause = PV_NEW(sema->arena, struct pv_ir_clause);
    *out->clause = (struct pv_ir_clause){.kind = PV_C_DUTY, .expr = expr, .text = out->text, .span = span};
    sema->total_size += expr->size;
    return true;
}

bool pv_sema_duty(struct pv_sema *sema, struct pv_ast_duty *duty, struct pv_ir_duty *out)
{
    *out = (struct pv_ir_duty){.kind = duty->kind, .text.ptr = ""};
    switch (duty->kind) {
    case PV_D_REASON: return true;
    case PV_D_APPROVAL:
    case PV_D_ALERT:
        return add_clause(sema, out, pv_sema_subject(sema, duty->subject), pv_text_subject(sema, duty->subject),
                          duty->subject->span);
    case PV_D_WINDOW:
        return add_clause(sema, out, pv_sema_in_windows(sema, duty->windows, duty->span),
                          pv_text_windows(sema, duty->windows), duty->span);
    case PV_D_TIMEOUT:
        out->seconds = duty->seconds;
        return duty->seconds > 0 || tell(sema, duty->value, "a timeout is longer than nothing");
    case PV_D_ACCOUNT:
        out->text = pv_ir_str(duty->string.text);
        if (!strcmp(duty->string.text.ptr, "requester"))
            return tell(sema, duty->string.span, "an account cannot be called \"requester\"");
        return pv_sema_account_name(duty->string.text) ||
               tell(sema, duty->string.span, "this cannot be the name of an account");
    case PV_D_NOTICE:
        out->text = pv_ir_str(duty->string.text);
        return duty->string.text.len || tell(sema, duty->string.span, "a notice says something");
    }
    return false;
}

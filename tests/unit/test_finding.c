/* model/finding.c */
#include "kvsh/finding.h"

#include "tap.h"

static void findings_are_kept_in_order(void)
{
    struct findings f = {0};

    is_int(findings_worst(&f), SEVERITY_NOTE);
    findings_remedy(&f, "nothing to remedy"); /* no finding yet: nothing happens */
    for (int i = 0; i < 9; i++)
        findings_add(&f, SEVERITY_NOTE, "capacity", "sn1", "%d of %d services", i, 9);
    findings_add(&f, SEVERITY_VIOLATION, "dir-missing", "rg1-rn2", "directory %s is missing",
                 "/d1");
    findings_remedy(&f, "replace %s", "/d1");
    is_int(f.n, 10);
    is_str(f.v[4].text, "4 of 9 services");
    ok(f.v[4].remedy == NULL);
    is_str(f.v[9].rule, "dir-missing");
    is_str(f.v[9].subject, "rg1-rn2");
    is_str(f.v[9].text, "directory /d1 is missing");
    is_str(f.v[9].remedy, "replace /d1");
    findings_release(&f);
    is_int(f.n, 0);
    findings_release(&f);
}

static void the_worst_counts(void)
{
    struct findings f = {0};

    findings_add(&f, SEVERITY_VIOLATION, "a", "x", "wrong");
    is_int(findings_worst(&f), SEVERITY_VIOLATION);
    findings_add(&f, SEVERITY_FATAL, "b", "x", "hopeless");
    findings_add(&f, SEVERITY_BLOCK, "c", "x", "dangerous");
    findings_add(&f, SEVERITY_BLOCK, "d", "x", "dangerous");
    is_int(findings_worst(&f), SEVERITY_FATAL);
    is_int(findings_count(&f, SEVERITY_NOTE), 0);
    is_int(findings_count(&f, SEVERITY_VIOLATION), 1);
    is_int(findings_count(&f, SEVERITY_BLOCK), 2);
    is_int(findings_count(&f, SEVERITY_FATAL), 1);
    findings_release(&f);
}

static void severities_have_names(void)
{
    is_str(severity_name(SEVERITY_NOTE), "note");
    is_str(severity_name(SEVERITY_VIOLATION), "violation");
    is_str(severity_name(SEVERITY_BLOCK), "block");
    is_str(severity_name(SEVERITY_FATAL), "fatal");
    is_str(severity_name((enum severity)99), "?");
}

int main(void)
{
    TAP_RUN(TAP_TEST(findings_are_kept_in_order), TAP_TEST(the_worst_counts),
            TAP_TEST(severities_have_names));
}

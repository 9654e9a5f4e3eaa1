/* PostgreSQL's choice among functions or operators of one name, step by step as
 * func_select_candidate makes it (PostgreSQL manual, chapter 10): exact matches, preferred types,
 * the category that untyped literals should have, and last the guess that they are of the type of
 * the others. The names of the steps are the manual's. */
#include "sql/binder.h"

typedef struct Choice {
    const Candidate *candidates;
    int *left; /* indexes of those still in the running */
    int count;
    const TypeKind *inputs;
    int input_count;
} Choice;

TypeKind candidate_arg(const Candidate *c, int index) {
    return c->args[index < c->arg_count ? index : c->arg_count - 1];
}

static bool fits_count(const Candidate *c, int count) {
    if (c->variadic) return count >= c->arg_count - c->none_too;
    return c->arg_count == count;
}

static bool accepts(const Candidate *c, const TypeKind *inputs, int count) {
    for (int i = 0; i < count; i++) {
        TypeKind want = candidate_arg(c, i);
        if (want != TYPE_UNKNOWN && inputs[i] != TYPE_UNKNOWN &&
            !can_cast(inputs[i], want, CAST_IMPLICIT))
            return false;
    }
    return true;
}

static int matches(const Choice *choice, const Candidate *c, bool preferred_too) {
    int found = 0;
    for (int i = 0; i < choice->input_count; i++) {
        TypeKind input = choice->inputs[i], want = candidate_arg(c, i);
        if (input == TYPE_UNKNOWN) continue;
        if (want == input) found++;
        else if (preferred_too && type_category(want) == type_category(input) &&
                 type_is_preferred(want))
            found++;
    }
    return found;
}

static void keep_best(Choice *choice, bool preferred_too) {
    int best = 0, kept = 0;
    for (int i = 0; i < choice->count; i++) {
        int found = matches(choice, &choice->candidates[choice->left[i]], preferred_too);
        if (found > best || i == 0) best = found, kept = 0;
        if (found == best) choice->left[kept++] = choice->left[i];
    }
    choice->count = kept;
}

typedef struct Slot {
    char category;
    bool has_preferred;
} Slot;

/* The category of one untyped argument; false: the candidates disagree and none takes strings. */
static bool slot_of(const Choice *choice, int index, Slot *slot) {
    bool conflict = false;
    *slot = (Slot){0};
    for (int i = 0; i < choice->count; i++) {
        TypeKind want = candidate_arg(&choice->candidates[choice->left[i]], index);
        char category = type_category(want);
        if (!slot->category || (category != slot->category && category == 'S'))
            *slot = (Slot){category, type_is_preferred(want)};
        else if (category == slot->category) slot->has_preferred |= type_is_preferred(want);
        else conflict = true;
    }
    return !conflict || slot->category == 'S';
}

static bool fits_slots(const Choice *choice, const Candidate *c, const Slot *slots) {
    for (int i = 0; i < choice->input_count; i++) {
        if (choice->inputs[i] != TYPE_UNKNOWN) continue;
        TypeKind want = candidate_arg(c, i);
        if (type_category(want) != slots[i].category) return false;
        if (slots[i].has_preferred && !type_is_preferred(want)) return false;
    }
    return true;
}

static void keep_by_category(Choice *choice) {
    Slot slots[ARGUMENTS_MOST];
    for (int i = 0; i < choice->input_count; i++)
        if (choice->inputs[i] == TYPE_UNKNOWN && !slot_of(choice, i, &slots[i])) return;
    int kept = 0, fitting[CANDIDATES_MOST];
    for (int i = 0; i < choice->count; i++)
        if (fits_slots(choice, &choice->candidates[choice->left[i]], slots))
            fitting[kept++] = choice->left[i];
    if (kept == 0) return;
    memcpy(choice->left, fitting, sizeof *fitting * (size_t)kept);
    choice->count = kept;
}

/* All that is known is of one type: taken for the untyped too. */
static int last_guess(const Choice *choice) {
    TypeKind known = TYPE_UNKNOWN, inputs[ARGUMENTS_MOST];
    for (int i = 0; i < choice->input_count; i++) {
        if (choice->inputs[i] == TYPE_UNKNOWN) continue;
        if (known != TYPE_UNKNOWN && known != choice->inputs[i]) return CANDIDATE_AMBIGUOUS;
        known = choice->inputs[i];
    }
    if (known == TYPE_UNKNOWN) return CANDIDATE_AMBIGUOUS;
    for (int i = 0; i < choice->input_count; i++) inputs[i] = known;
    int found = CANDIDATE_AMBIGUOUS, count = 0;
    for (int i = 0; i < choice->count; i++)
        if (accepts(&choice->candidates[choice->left[i]], inputs, choice->input_count))
            found = choice->left[i], count++;
    return count == 1 ? found : CANDIDATE_AMBIGUOUS;
}

static bool is_exact(const Candidate *c, const TypeKind *inputs, int count) {
    for (int i = 0; i < count; i++)
        if (inputs[i] == TYPE_UNKNOWN || candidate_arg(c, i) != inputs[i]) return false;
    return true;
}

int choose_candidate(const Candidate *candidates, int count, const TypeKind *inputs,
                     int input_count) {
    int left[CANDIDATES_MOST];
    Choice choice = {candidates, left, 0, inputs, input_count};
    bool untyped = false;
    for (int i = 0; i < input_count; i++) untyped |= inputs[i] == TYPE_UNKNOWN;
    for (int i = 0; i < count && i < CANDIDATES_MOST; i++) {
        if (!fits_count(&candidates[i], input_count)) continue;
        if (is_exact(&candidates[i], inputs, input_count)) return i;
        if (accepts(&candidates[i], inputs, input_count)) left[choice.count++] = i;
    }
    if (choice.count == 0) return CANDIDATE_NONE;
    if (choice.count > 1) keep_best(&choice, false);
    if (choice.count > 1) keep_best(&choice, true);
    if (choice.count > 1 && untyped) keep_by_category(&choice);
    if (choice.count == 1) return left[0];
    return untyped ? last_guess(&choice) : CANDIDATE_AMBIGUOUS;
}

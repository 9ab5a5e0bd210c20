package policies

import "slices"

// where returns the filter for one condition on a field.
func where(leaf Condition) Filter {
	slices.Sort(leaf.Values)
	leaf.Values = slices.Compact(leaf.Values)
	if len(leaf.Values) > 0 {
		return Filter{Kind: FilterWhere, Where: &leaf}
	}
	if leaf.Op == NotIn {
		return Filter{Kind: FilterAll}
	}
	return Filter{}
}

// allOf lets those through whom each filter lets through; without any, everybody.
func allOf(filters []Filter) Filter {
	var terms []Condition
	for _, f := range filters {
		switch {
		case f.Kind == FilterAll:
		case f.Kind != FilterWhere:
			return Filter{}
		case f.Where.Op == And:
			terms = append(terms, f.Where.Terms...)
		default:
			terms = append(terms, *f.Where)
		}
	}
	terms, ok := mergeLeaves(terms, Condition.intersect)
	switch {
	case !ok:
		return Filter{}
	case len(terms) == 0:
		return Filter{Kind: FilterAll}
	case len(terms) == 1:
		return Filter{Kind: FilterWhere, Where: &terms[0]}
	}
	return Filter{Kind: FilterWhere, Where: &Condition{Op: And, Terms: terms}}
}

// anyOf lets those through whom one of the filters lets through; without any, nobody.
func anyOf(filters []Filter) Filter {
	var terms []Condition
	for _, f := range filters {
		switch {
		case f.Kind == FilterAll:
			return f
		case f.Kind != FilterWhere:
		case f.Where.Op == Or:
			terms = append(terms, f.Where.Terms...)
		default:
			terms = append(terms, *f.Where)
		}
	}
	terms, ok := mergeLeaves(terms, Condition.union)
	switch {
	case !ok:
		return Filter{Kind: FilterAll}
	case len(terms) == 0:
		return Filter{}
	case len(terms) == 1:
		return Filter{Kind: FilterWhere, Where: &terms[0]}
	}
	return Filter{Kind: FilterWhere, Where: &Condition{Op: Or, Terms: terms}}
}

// mergeLeaves joins what is said of one field into one term, leaves first. It reports
// false when a join decides everything: nothing is left to match, or nothing to miss.
func mergeLeaves(terms []Condition, join func(a, b Condition) Condition) ([]Condition, bool) {
	var leaves, trees []Condition
	for _, term := range terms {
		if term.Op == And || term.Op == Or {
			trees = append(trees, term)
			continue
		}
		at := slices.IndexFunc(leaves, func(leaf Condition) bool { return leaf.Field == term.Field })
		if at < 0 {
			leaves = append(leaves, term)
			continue
		}
		leaves[at] = join(leaves[at], term)
		if len(leaves[at].Values) == 0 {
			return nil, false
		}
	}
	return append(leaves, trees...), true
}

// intersect and union join two leaves over one field. A leaf is a set of values or, with
// NotIn, all values but some; an empty In is nobody, an empty NotIn everybody, and
// neither kind of join can produce the other one.
func (c Condition) intersect(o Condition) Condition {
	switch {
	case c.Op == In && o.Op == In:
		return leaf(In, c.Field, both(c.Values, o.Values))
	case c.Op == In:
		return leaf(In, c.Field, without(c.Values, o.Values))
	case o.Op == In:
		return leaf(In, c.Field, without(o.Values, c.Values))
	}
	return leaf(NotIn, c.Field, either(c.Values, o.Values))
}

func (c Condition) union(o Condition) Condition {
	switch {
	case c.Op == In && o.Op == In:
		return leaf(In, c.Field, either(c.Values, o.Values))
	case c.Op == In:
		return leaf(NotIn, c.Field, without(o.Values, c.Values))
	case o.Op == In:
		return leaf(NotIn, c.Field, without(c.Values, o.Values))
	}
	return leaf(NotIn, c.Field, both(c.Values, o.Values))
}

func leaf(op ConditionOp, field Field, values []string) Condition {
	return Condition{Op: op, Field: field, Values: values}
}

func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(v string) bool { return !slices.Contains(b, v) })
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(v string) bool { return slices.Contains(b, v) })
}

func either(a, b []string) []string {
	all := slices.Sorted(slices.Values(append(slices.Clone(a), b...)))
	return slices.Compact(all)
}

// implies reports whether everybody who meets a also meets the leaf b. It may say no
// when it does not see it.
func (c Condition) implies(b Condition) bool {
	switch c.Op {
	case And:
		return slices.ContainsFunc(c.Terms, func(t Condition) bool { return t.implies(b) })
	case Or:
		return len(c.Terms) > 0 && !slices.ContainsFunc(c.Terms, func(t Condition) bool { return !t.implies(b) })
	}
	if c.Field != b.Field {
		return false
	}
	meet := c.intersect(b)
	return meet.Op == c.Op && slices.Equal(meet.Values, c.Values)
}

// simplify leaves out what cannot matter: below an And, what its other terms say already
// or make impossible. The filter lets the same people through; the database has less to
// look at.
func simplify(f Filter) Filter {
	if f.Kind != FilterWhere {
		return f
	}
	return narrow(*f.Where, nil)
}

// narrow simplifies a condition for people who meet all the given leaves.
func narrow(c Condition, given []Condition) Filter {
	switch c.Op {
	case Or:
		ways := make([]Filter, len(c.Terms))
		for i, term := range c.Terms {
			ways[i] = narrow(term, given)
		}
		return anyOf(ways)
	case And:
		return narrowAnd(c, given)
	}
	for _, known := range given {
		if known.implies(c) {
			return Filter{Kind: FilterAll}
		}
		if known.Field == c.Field {
			c = c.intersect(known)
		}
	}
	return where(c)
}

func narrowAnd(c Condition, given []Condition) Filter {
	var terms []Filter
	inner := slices.Clone(given)
	for _, term := range c.Terms {
		if term.Op == In || term.Op == NotIn {
			terms = append(terms, narrow(term, given))
			inner = append(inner, term)
		}
	}
	for _, term := range c.Terms {
		if term.Op == And || term.Op == Or {
			terms = append(terms, narrow(term, inner))
		}
	}
	all := allOf(terms)
	if all.Kind != FilterWhere || all.Where.Op != And {
		return all
	}
	rest := slices.Clone(all.Where.Terms)
	for i := len(rest) - 1; i >= 0; i-- {
		others := slices.Delete(slices.Clone(rest), i, i+1)
		if rest[i].Op != And && rest[i].Op != Or && (Condition{Op: And, Terms: others}).implies(rest[i]) {
			rest = others
		}
	}
	if len(rest) < len(all.Where.Terms) || len(rest) == 1 {
		return allOf(filters(rest))
	}
	return all
}

func filters(terms []Condition) []Filter {
	list := make([]Filter, len(terms))
	for i := range terms {
		list[i] = Filter{Kind: FilterWhere, Where: &terms[i]}
	}
	return list
}

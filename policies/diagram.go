package policies

import (
	"encoding/binary"
	"math/big"
)

// A diagram is a set of cells of a space of finite fields, as a multi-valued decision
// diagram: a graph in which each node asks one field and equal parts are one node. Equal
// sets are the same number, and sets of very many cells take few nodes.
type diagram int32

// The two diagrams without nodes.
const (
	nothing    diagram = 0
	everything diagram = 1
)

// diagrams makes and combines diagrams over one space. It is not safe for concurrent use.
type diagrams struct {
	sizes  []int // how many values each field has, in the order in which they are asked
	nodes  []diagramNode
	unique map[string]diagram
	joined map[join]diagram
}

type diagramNode struct {
	field int
	next  []diagram // one for each value
}

type join struct {
	kind byte
	a, b diagram
}

func newDiagrams(sizes []int) *diagrams {
	return &diagrams{
		sizes: sizes, nodes: []diagramNode{{field: len(sizes)}, {field: len(sizes)}},
		unique: map[string]diagram{}, joined: map[join]diagram{},
	}
}

// node returns the diagram that asks a field and goes on with next.
func (d *diagrams) node(field int, next []diagram) diagram {
	alike := true
	for _, to := range next {
		alike = alike && to == next[0]
	}
	if alike {
		return next[0]
	}
	key := binary.AppendUvarint(nil, uint64(field))
	for _, to := range next {
		key = binary.AppendUvarint(key, uint64(to))
	}
	if known, ok := d.unique[string(key)]; ok {
		return known
	}
	made := diagram(len(d.nodes))
	d.nodes, d.unique[string(key)] = append(d.nodes, diagramNode{field, next}), made
	return made
}

// values returns the cells in which a field has a value for which keep is true.
func (d *diagrams) values(field int, keep func(value int) bool) diagram {
	next := make([]diagram, d.sizes[field])
	for value := range next {
		if keep(value) {
			next[value] = everything
		}
	}
	return d.node(field, next)
}

func (d *diagrams) and(a, b diagram) diagram {
	switch {
	case a == nothing || b == nothing:
		return nothing
	case a == everything || a == b:
		return b
	case b == everything:
		return a
	}
	return d.join('&', min(a, b), max(a, b), d.and)
}

func (d *diagrams) or(a, b diagram) diagram {
	switch {
	case a == everything || b == everything:
		return everything
	case a == nothing || a == b:
		return b
	case b == nothing:
		return a
	}
	return d.join('|', min(a, b), max(a, b), d.or)
}

// without returns the cells of a that are not in b.
func (d *diagrams) without(a, b diagram) diagram {
	switch {
	case a == nothing || b == everything || a == b:
		return nothing
	case b == nothing:
		return a
	}
	return d.join('-', a, b, d.without)
}

func (d *diagrams) not(a diagram) diagram { return d.without(everything, a) }

func (d *diagrams) join(kind byte, a, b diagram, combine func(a, b diagram) diagram) diagram {
	key := join{kind, a, b}
	if known, ok := d.joined[key]; ok {
		return known
	}
	field := min(d.nodes[a].field, d.nodes[b].field)
	next := make([]diagram, d.sizes[field])
	for value := range next {
		next[value] = combine(d.follow(a, field, value), d.follow(b, field, value))
	}
	made := d.node(field, next)
	d.joined[key] = made
	return made
}

// follow returns what is left of a when a field, which a asks first or not at all before
// the next one, has a value.
func (d *diagrams) follow(a diagram, field, value int) diagram {
	if node := d.nodes[a]; node.field == field && a > everything {
		return node.next[value]
	}
	return a
}

// fix returns what is left of a when a field has a value.
func (d *diagrams) fix(a diagram, field, value int) diagram {
	return d.rewrite(a, map[diagram]diagram{}, func(node diagramNode) (diagram, bool) {
		return node.next[min(value, len(node.next)-1)], node.field == field
	})
}

// forget returns the cells that become members for some value of each forgotten field.
func (d *diagrams) forget(a diagram, forgotten func(field int) bool) diagram {
	return d.rewriteUp(a, map[diagram]diagram{}, func(node diagramNode, next []diagram) (diagram, bool) {
		if !forgotten(node.field) {
			return nothing, false
		}
		union := nothing
		for _, to := range next {
			union = d.or(union, to)
		}
		return union, true
	})
}

// rewrite replaces nodes from the top.
func (d *diagrams) rewrite(a diagram, known map[diagram]diagram, replace func(diagramNode) (diagram, bool)) diagram {
	if a <= everything {
		return a
	}
	if made, ok := known[a]; ok {
		return made
	}
	node := d.nodes[a]
	made, replaced := replace(node)
	if !replaced {
		next := make([]diagram, len(node.next))
		for i, to := range node.next {
			next[i] = d.rewrite(to, known, replace)
		}
		made = d.node(node.field, next)
	}
	known[a] = made
	return made
}

// rewriteUp replaces nodes from the bottom.
func (d *diagrams) rewriteUp(a diagram, known map[diagram]diagram, replace func(diagramNode, []diagram) (diagram, bool)) diagram {
	if a <= everything {
		return a
	}
	if made, ok := known[a]; ok {
		return made
	}
	node := d.nodes[a]
	next := make([]diagram, len(node.next))
	for i, to := range node.next {
		next[i] = d.rewriteUp(to, known, replace)
	}
	made, replaced := replace(node, next)
	if !replaced {
		made = d.node(node.field, next)
	}
	known[a] = made
	return made
}

// holds reports whether a cell is a member.
func (d *diagrams) holds(a diagram, cell []int) bool {
	for a > everything {
		a = d.nodes[a].next[cell[d.nodes[a].field]]
	}
	return a == everything
}

// count returns how many cells are members.
func (d *diagrams) count(a diagram) *big.Int {
	return d.countFrom(a, 0, map[diagram]*big.Int{})
}

func (d *diagrams) countFrom(a diagram, field int, known map[diagram]*big.Int) *big.Int {
	total := new(big.Int)
	if a == nothing {
		return total
	}
	if a == everything {
		total.SetInt64(1)
	} else if sum, ok := known[a]; ok {
		total.Set(sum)
	} else {
		node := d.nodes[a]
		for _, to := range node.next {
			total.Add(total, d.countFrom(to, node.field+1, known))
		}
		known[a] = new(big.Int).Set(total)
	}
	for ; field < d.nodes[a].field; field++ {
		total.Mul(total, big.NewInt(int64(d.sizes[field])))
	}
	return total
}

// A box is a set of cells that is a product: each field has one of some values. A field
// that is not in it has any.
type box map[int][]int

// boxes splits a set into disjoint boxes, in a fixed order.
func (d *diagrams) boxes(a diagram) []box {
	switch a {
	case nothing:
		return nil
	case everything:
		return []box{{}}
	}
	node := d.nodes[a]
	var order []diagram
	values := map[diagram][]int{}
	for value, to := range node.next {
		if to == nothing {
			continue
		}
		if values[to] == nil {
			order = append(order, to)
		}
		values[to] = append(values[to], value)
	}
	var all []box
	for _, to := range order {
		for _, rest := range d.boxes(to) {
			rest[node.field] = values[to]
			all = append(all, rest)
		}
	}
	return all
}

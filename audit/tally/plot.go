package tally

import (
	"cmp"
	"maps"
	"slices"
)

// plot is a chart of bars: each of two parts, answered and refused. It is drawn in the
// units of its own view box.
type plot struct {
	Name, Title   string
	Upright       bool // bars stand beside each other; otherwise they lie below each other
	Width, Height int
	Bars          []bar
	Ticks         []tick
}

// bar is one bar. Its parts lie behind each other, answered first.
type bar struct {
	Label, Tip string
	LabelX     float64
	LabelY     float64
	Parts      []part
	Value      string
	ValueX     float64
}

type part struct {
	Class               string
	X, Y, Width, Height float64
}

// tick is a line of the scale, or a label of the time.
type tick struct {
	X, Y  float64
	Label string
}

// Sizes of plots.
const (
	plotWidth  = 960
	plotTall   = 240 // height of upright bars
	axisLeft   = 56
	axisBottom = 24
	lyingLeft  = 300 // where lying bars begin
	lyingStep  = 26
	maxBars    = 12
)

func (r *Report) plots(w *words) []plot {
	var plots []plot
	if p, ok := r.momentsPlot(w); ok {
		plots = append(plots, p)
	}
	reasons := map[string][2]uint64{}
	for _, reason := range r.Reasons {
		check := reason.Check
		if check == "" {
			check = w.say("no_check")
		}
		n := reasons[check]
		reasons[check] = [2]uint64{n[0], n[1] + reason.Refused}
	}
	purposes := map[string][2]uint64{}
	for _, asked := range r.Asked {
		n := purposes[string(asked.Purpose)]
		purposes[string(asked.Purpose)] = [2]uint64{n[0] + asked.Answered, n[1] + asked.Refused}
	}
	for _, p := range []plot{lying(w, "plot_purposes", purposes), lying(w, "plot_reasons", reasons)} {
		if len(p.Bars) > 0 {
			plots = append(plots, p)
		}
	}
	return plots
}

func (r *Report) momentsPlot(w *words) (plot, bool) {
	p := plot{Name: "plot_moments", Title: w.say("plot_moments"), Upright: true, Width: plotWidth, Height: plotTall + axisBottom}
	var most uint64
	for _, m := range r.Moments {
		most = max(most, m.Answered+m.Refused)
	}
	if most == 0 {
		return p, false
	}
	top := roundUp(most)
	up := func(n uint64) float64 { return float64(n) / float64(top) * (plotTall - 16) }
	for _, share := range []uint64{0, 1, 2, 3, 4} {
		n := top * share / 4
		if share == 0 || n > 0 && n*4 == top*share {
			p.Ticks = append(p.Ticks, tick{X: axisLeft - 6, Y: plotTall - up(n), Label: number(n)})
		}
	}
	step := float64(plotWidth-axisLeft) / float64(len(r.Moments))
	b := tabler{words: w}
	every := max(1, len(r.Moments)/6)
	for i, m := range r.Moments {
		x := axisLeft + float64(i)*step
		width := max(step-min(2, step/5), 0.5)
		label := b.start(r.Unit, m.Start)
		one := bar{Tip: label + ": " + number(m.Answered) + " " + w.say("answered") + ", " + number(m.Refused) + " " + w.say("refused")}
		if i%every == 0 && (i == 0 || i+every/2 < len(r.Moments)) {
			one.Label, one.LabelX, one.LabelY = label, x, plotTall+18
		}
		one.Parts = append(one.Parts,
			part{"answered", x, plotTall - up(m.Answered), width, up(m.Answered)},
			part{"refused", x, plotTall - up(m.Answered+m.Refused), width, up(m.Refused)})
		p.Bars = append(p.Bars, one)
	}
	return p, true
}

// lying makes a plot of the largest of some things.
func lying(w *words, name string, of map[string][2]uint64) plot {
	keys := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(of[b][0]+of[b][1], of[a][0]+of[a][1]), cmp.Compare(a, b))
	})
	keys = keys[:min(len(keys), maxBars)]
	p := plot{Name: name, Title: w.say(name), Width: plotWidth, Height: len(keys)*lyingStep + 4}
	var most uint64
	for _, key := range keys {
		most = max(most, of[key][0]+of[key][1])
	}
	for i, key := range keys {
		y, n := float64(i*lyingStep+2), of[key]
		across := func(n uint64) float64 { return float64(n) / float64(max(most, 1)) * (plotWidth - lyingLeft - 110) }
		label := key
		if label == "" {
			label = "–"
		}
		one := bar{Label: short(label), LabelX: lyingLeft - 10, LabelY: y + 16, Tip: label + ": " + number(n[0]) + " " + w.say("answered") + ", " + number(n[1]) + " " + w.say("refused")}
		if n[0] > 0 {
			one.Parts = append(one.Parts, part{"answered", lyingLeft, y, across(n[0]), lyingStep - 6})
		}
		if n[1] > 0 {
			one.Parts = append(one.Parts, part{"refused", lyingLeft + across(n[0]), y, across(n[1]), lyingStep - 6})
		}
		one.Value, one.ValueX = number(n[0]+n[1]), lyingLeft+across(n[0]+n[1])+8
		p.Bars = append(p.Bars, one)
	}
	return p
}

// short cuts a label that would not fit; the table has it whole.
func short(label string) string {
	if len(label) <= 40 {
		return label
	}
	return label[:38] + "…"
}

// roundUp is the next number of which a scale can be made.
func roundUp(n uint64) uint64 {
	if n <= 4 {
		return 4
	}
	for step := uint64(1); ; step *= 10 {
		for _, m := range []uint64{4, 8, 12, 20, 40} {
			if m*step >= n {
				return m * step
			}
		}
		if step > 1<<58 {
			return n
		}
	}
}

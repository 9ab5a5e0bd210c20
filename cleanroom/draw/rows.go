package draw

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Row is what a snapshot keeps of one row: dimensions, days and hidden columns in their
// order, and measures.
type Row struct {
	Dimensions [cleanroom.MaximumDimensions]int32
	Measures   [cleanroom.MaximumMeasures]int64
}

// encoder turns what is held about a person into rows of a contract.
type encoder struct {
	mapping  *Mapping
	contract *cleanroom.Contract
	// protected reports whether a word names something that no room may be about.
	protected func(word string) bool
}

// rows returns a person's rows, and how many of their events the contract does not provide for.
func (e *encoder) rows(attribute func(privacy.AttributeName) string, events []vault.EventView) (rows []Row, left int) {
	if e.mapping.Stream == "" {
		row, ok := e.row(attribute, nil)
		if !ok {
			return nil, 1
		}
		return []Row{row}, 0
	}
	for i := range events {
		if !slices.Contains(e.mapping.Types, events[i].Type) {
			continue
		}
		if row, ok := e.row(attribute, &events[i]); ok {
			rows = append(rows, row)
		} else {
			left++
		}
	}
	return rows, left
}

func (e *encoder) row(attribute func(privacy.AttributeName) string, event *vault.EventView) (row Row, ok bool) {
	dimensions, measures := 0, 0
	for i := range e.contract.Columns {
		column := &e.contract.Columns[i]
		source := e.mapping.Columns[column.Name]
		var value string
		switch {
		case source.One:
			value = "1"
		case source.Attribute != "":
			value = attribute(source.Attribute)
		case event == nil:
			return row, false
		case source.Day:
			value = event.At.UTC().Format(time.DateOnly)
		default:
			value = event.RevealPersonalData(source.Field)
		}
		if source.Scale > 0 {
			if value, ok = scaled(value, source.Scale); !ok {
				return row, false
			}
		}
		number, ok := column.Encode(value)
		if !ok || column.Hides(value, e.protected) {
			return row, false
		}
		if column.Role == cleanroom.Measure {
			row.Measures[measures] = number
			measures++
			continue
		}
		if number != int64(int32(number)) {
			return row, false
		}
		row.Dimensions[dimensions] = int32(number)
		dimensions++
	}
	return row, true
}

// scaled multiplies a decimal number and rounds it, halves away from zero, without ever being
// anything else than exact.
func scaled(text string, scale int64) (string, bool) {
	if len(text) == 0 || len(text) > 32 || strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789.-", r) }) {
		return "", false
	}
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", false
	}
	number.Mul(number, new(big.Rat).SetInt64(scale))
	// Twice the number, plus one away from zero, halved towards zero.
	doubled := new(big.Int).Mul(number.Num(), big.NewInt(2))
	if number.Sign() < 0 {
		doubled.Sub(doubled, number.Denom())
	} else {
		doubled.Add(doubled, number.Denom())
	}
	doubled.Quo(doubled, new(big.Int).Mul(number.Denom(), big.NewInt(2)))
	if !doubled.IsInt64() {
		return "", false
	}
	return strconv.FormatInt(doubled.Int64(), 10), true
}

package prepare

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// MaximumColumns is how many values a row can have.
const MaximumColumns = cleanroom.MaximumDimensions + cleanroom.MaximumMeasures

// maximumLine bounds a chunk in bytes: values have at most 11 digits and a sign.
const maximumLine = 64 + ChunkSize*(14*(MaximumColumns+1)+2)

// Row is a row of a dataset.
type Row struct {
	// Member is the place of its person in the list of members, from 0.
	Member int
	// Values has what [cleanroom.Column.Encode] returned, in the order of the contract.
	Values []int64
}

// saltSize is how many random bytes a chunk of rows has. Without them, somebody who has the
// manifest and not the rows could guess what is in a short one.
const saltSize = 16

// AppendMembers appends a chunk of members, one line without its end.
func AppendMembers(line []byte, mode cleanroom.Matching, tokens []match.Token) []byte {
	line = append(line, `{"members":[`...)
	for i, token := range tokens {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(append(line, '"'), token.Text(mode)...), '"')
	}
	return append(line, `]}`...)
}

// ParseMembers reads what [AppendMembers] writes, in that one spelling. The error wraps
// [privacy.ErrInvalid].
func ParseMembers(line []byte, mode cleanroom.Matching) ([]match.Token, error) {
	rest, found := bytes.CutPrefix(line, []byte(`{"members":["`))
	rest, ended := bytes.CutSuffix(rest, []byte(`"]}`))
	if !found || !ended || len(line) > maximumLine {
		return nil, fmt.Errorf("reading chunk of members: it is something else: %w", privacy.ErrInvalid)
	}
	var tokens []match.Token
	for more := true; more; {
		var text []byte
		text, rest, more = bytes.Cut(rest, []byte(`","`))
		token, err := match.ParseToken(mode, string(text))
		if err != nil {
			return nil, fmt.Errorf("reading chunk of members: %w", err)
		}
		tokens = append(tokens, token)
	}
	if len(tokens) > ChunkSize {
		return nil, fmt.Errorf("reading chunk of members: it has more than %d: %w", ChunkSize, privacy.ErrInvalid)
	}
	return tokens, nil
}

// AppendRows appends a chunk of rows, one line without its end.
func AppendRows(line []byte, rows []Row, salt [saltSize]byte) []byte {
	line = append(line, `{"rows":[`...)
	for i := range rows {
		if i > 0 {
			line = append(line, ',')
		}
		line = strconv.AppendInt(append(line, '['), int64(rows[i].Member), 10)
		for _, value := range rows[i].Values {
			line = strconv.AppendInt(append(line, ','), value, 10)
		}
		line = append(line, ']')
	}
	line = append(line, `],"salt":"`...)
	line = base64.StdEncoding.AppendEncode(line, salt[:])
	return append(line, `"}`...)
}

// ParseRows reads what [AppendRows] writes, in that one spelling, for a dataset of a number
// of columns and members. The values are those of the contract only if [CheckRow] says so.
// The error wraps [privacy.ErrInvalid].
func ParseRows(line []byte, columns, members int) ([]Row, error) {
	invalid := func(what string) ([]Row, error) {
		return nil, fmt.Errorf("reading chunk of rows: %s: %w", what, privacy.ErrInvalid)
	}
	rest, found := bytes.CutPrefix(line, []byte(`{"rows":[[`))
	rest, ended := bytes.CutSuffix(rest, []byte(`"}`))
	body, salt, salted := bytes.Cut(rest, []byte(`]],"salt":"`))
	if !found || !ended || !salted || len(line) > maximumLine || columns > MaximumColumns {
		return invalid("it is something else")
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(string(salt))
	if err != nil || len(decoded) != saltSize || bytes.ContainsAny(salt, "\r\n") {
		return invalid("it has no salt")
	}
	var rows []Row
	for more := true; more; {
		var text []byte
		text, body, more = bytes.Cut(body, []byte(`],[`))
		if len(rows) == ChunkSize {
			return invalid("it has too many of them")
		}
		row := Row{Values: make([]int64, 0, columns)}
		first := true
		for cells := true; cells; {
			var cell []byte
			cell, text, cells = bytes.Cut(text, []byte(`,`))
			value, ok := parseNumber(cell)
			switch {
			case !ok:
				return invalid("a value is no whole number")
			case first && (value < 0 || value >= int64(members)):
				return invalid("somebody is no member")
			case first:
				row.Member, first = int(value), false
			case len(row.Values) == columns:
				return invalid("a row has too many values")
			default:
				row.Values = append(row.Values, value)
			}
		}
		if len(row.Values) != columns {
			return invalid("a row has too few values")
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// parseNumber reads a whole number in its one spelling.
func parseNumber(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 12 {
		return 0, false
	}
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	if len(digits) == 0 || digits[0] == '0' && len(text) > 1 {
		return 0, false
	}
	var value int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = 10*value + int64(c-'0')
	}
	if len(digits) < len(text) {
		value = -value
	}
	return value, true
}

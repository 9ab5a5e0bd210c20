package evidence

import (
	"strings"

	"github.com/mahrem/mahrem/audit"
)

// Markdown prints the tables, as docs/audit-events.md has them.
func Markdown() string {
	var b strings.Builder
	for _, part := range []struct {
		title, column string
		operations    []Operation
	}{
		{"The HTTP API", "operation", Routes()},
		{"The command line", "command", Commands()},
		{"By itself", "what", Chores()},
	} {
		b.WriteString("## " + part.title + "\n\n| " + part.column + " | leaves | may come along |\n|---|---|---|\n")
		for i := range part.operations {
			o := &part.operations[i]
			leaves := "nothing: " + o.Reason
			if o.Reason == "" {
				leaves = o.text()
			}
			b.WriteString("| `" + o.Name + "` | " + leaves + " | " + words(o.May, ", ") + " |\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (o *Operation) text() string {
	alternatives := make([]string, len(o.Leaves))
	for i, together := range o.Leaves {
		alternatives[i] = words(together, " and ")
	}
	text := strings.Join(alternatives, " or ")
	if !o.Each {
		return "if it changes or shows something: " + text
	}
	return text
}

func words(kinds []audit.Kind, between string) string {
	quoted := make([]string, len(kinds))
	for i, kind := range kinds {
		quoted[i] = "`" + string(kind) + "`"
	}
	return strings.Join(quoted, between)
}

package assembly

import (
	"fmt"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/privacy"
)

// letters writes in the name of the controller that the settings name.
type letters struct {
	controller config.Controller
	now        func() time.Time // nil: time.Now
}

// Write implements [server.LetterWriter].
func (l letters) Write(kind letter.Kind, r *dsar.Request) (string, error) {
	if l.controller.Name == "" {
		return "", fmt.Errorf("writing letter for a controller whom nobody has named: %w", privacy.ErrNotFound)
	}
	form, err := letter.Of(kind, r, nil)
	if err != nil {
		return "", err
	}
	form.Controller, form.Contact, form.Today = l.controller.Name, l.contact(), time.Now()
	if l.now != nil {
		form.Today = l.now()
	}
	return form.Render()
}

// contact is how the controller is reached, line by line.
func (l letters) contact() string {
	var lines []string
	for _, line := range []string{l.controller.Contact, l.controller.Address, l.controller.Email, l.controller.Phone} {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

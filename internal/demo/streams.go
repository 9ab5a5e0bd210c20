package demo

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// peopleHeader is the header of the customers' file; the map says what the columns mean.
func peopleHeader() []string {
	header := []string{
		"customer_number", "first_name", "last_name", "email", "phone", "postal_address", "city", "position", "country",
		"birth_date", "household", "language", "jurisdiction", "persona", "social_interest",
	}
	for _, question := range asked {
		name := "consent_" + string(question.purpose)
		header = append(header, name, name+"_at", name+"_until")
	}
	return header
}

// WritePeople writes the customers as a shop would export them: CSV in UTF-8.
func WritePeople(w io.Writer, people []Person) error {
	out := csv.NewWriter(w)
	if err := out.Write(peopleHeader()); err != nil {
		return fmt.Errorf("writing people: %w", err)
	}
	for i := range people {
		p := &people[i]
		row := []string{
			p.Customer, p.FirstName, p.LastName, p.Email, p.Phone, p.Street + ", " + p.City, p.City, p.Position, p.Jurisdiction,
			p.BirthDate, p.Household, p.Language, p.Jurisdiction, p.Persona, p.Interest,
		}
		for _, question := range asked {
			said, at, until := "", "", ""
			for _, c := range p.Consents {
				if c.Purpose == question.purpose {
					said, at = string(c.Action), c.At.Format(time.RFC3339)
					if !c.ValidUntil.IsZero() {
						until = c.ValidUntil.Format(time.RFC3339)
					}
				}
			}
			row = append(row, said, at, until)
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("writing people: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// WriteProducts writes the articles, which the purchases are joined with.
func WriteProducts(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"sku", "product_group", "label_en", "label_tr", "label_cs", "price"})
	for _, p := range products {
		_ = out.Write([]string{p.SKU, p.Group, p.English, p.Turkish, p.Czech, money(p.Cents)})
	}
	out.Flush()
	return out.Error()
}

// WritePurchases writes the receipts as a till would: one JSON object a line.
func (s *Shop) WritePurchases(w io.Writer) error {
	buffer := bufio.NewWriter(w)
	out := json.NewEncoder(buffer)
	for _, p := range s.Purchases {
		line := struct {
			Receipt  string `json:"receipt"`
			Customer string `json:"customer_number"`
			SKU      string `json:"sku"`
			Quantity string `json:"quantity"`
			Amount   string `json:"amount"`
			At       string `json:"at"`
		}{
			fmt.Sprintf("%s/%d", p.Order, p.Line), p.Customer, p.SKU, strconv.Itoa(p.Quantity),
			money(p.Cents), p.At.Format(time.RFC3339),
		}
		if err := out.Encode(line); err != nil {
			return fmt.Errorf("writing purchases: %w", err)
		}
	}
	return buffer.Flush()
}

func money(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

func order(n int) string { return fmt.Sprintf("R-%06d", n) }

package config

import (
	"strings"

	"github.com/go-playground/validator/v10"
)

// Controller says who answers for the processing (GDPR Article 13(1)(a)). It stands in
// consent receipts, which must have all of it: either nothing is set or everything is.
type Controller struct {
	Name    string `yaml:"controller_name" validate:"required_with=Address Country Contact Email Phone URL Policy Withdrawal Storage,max=200"`
	Address string `yaml:"controller_address" validate:"required_with=Name,max=400"`
	// Country is where it is established, an ISO 3166 code.
	Country string `yaml:"controller_country" validate:"required_with=Name,omitempty,iso3166_1_alpha2"`
	// Contact is whom to turn to, such as "Data protection officer".
	Contact string `yaml:"controller_contact" validate:"required_with=Name,max=200"`
	Email   string `yaml:"controller_email" validate:"required_with=Name,omitempty,email"`
	Phone   string `yaml:"controller_phone" validate:"required_with=Name,max=64"`
	URL     string `yaml:"controller_url" validate:"required_with=Name,omitempty,http_url,max=512"`
	// Policy is the address of the privacy policy, Withdrawal where a consent is taken back.
	Policy     string `yaml:"controller_policy" validate:"required_with=Name,omitempty,http_url,max=512"`
	Withdrawal string `yaml:"controller_withdrawal" validate:"required_with=Name,omitempty,http_url,max=512"`
	// Storage are the countries in which data are stored, ISO 3166 codes with spaces between.
	Storage string `yaml:"controller_storage" validate:"required_with=Name,omitempty,countries"`
}

// Countries are those of Storage.
func (c Controller) Countries() []string { return strings.Fields(c.Storage) }

// areCountries admits codes in capitals with spaces between.
func areCountries(field validator.FieldLevel) bool {
	codes := strings.Fields(field.Field().String())
	for _, code := range codes {
		if validator.New().Var(code, "iso3166_1_alpha2") != nil {
			return false
		}
	}
	return len(codes) > 0 && len(codes) <= 64
}

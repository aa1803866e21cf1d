// Calls a control plane through OVHcloud's Go client: go-ovh ENDPOINT METHOD PATH [JSON]. Keys come from the environment, as
// the client documents (OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET, OVH_CONSUMER_KEY). Prints {"status","message","body"}.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/ovh/go-ovh/ovh"
)

type outcome struct {
	Status  int         `json:"status"`
	Message string      `json:"message"`
	Body    interface{} `json:"body"`
}

func call(client *ovh.Client, method, path string, body interface{}) (interface{}, error) {
	var answer interface{}
	err := client.CallAPI(method, path, body, &answer, true)
	return answer, err
}

func main() {
	endpoint, method, path := os.Args[1], os.Args[2], os.Args[3]
	var body interface{}
	if len(os.Args) > 4 {
		if err := json.Unmarshal([]byte(os.Args[4]), &body); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	client, err := ovh.NewEndpointClient(endpoint)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	answer, err := call(client, method, path, body)
	result := outcome{Status: 200, Body: answer}
	if apiError, ok := err.(*ovh.APIError); ok {
		result = outcome{Status: apiError.Code, Message: apiError.Message}
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

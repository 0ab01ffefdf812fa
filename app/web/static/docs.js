SwaggerUIBundle({
  dom_id: "#api",
  urls: [
    { url: "/openapi.json", name: "Resellers" },
    { url: "/openapi-operator.json", name: "Operators" },
  ],
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});

const forOperators = new URLSearchParams(window.location.search).has("operators");

SwaggerUIBundle({
  dom_id: "#api",
  url: forOperators ? "/openapi-operator.json" : "/openapi.json",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});

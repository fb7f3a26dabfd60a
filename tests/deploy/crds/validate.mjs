// Reads a list of custom resources as JSON from standard input, and ends with 1 where one is not of its schema.
//
// The validators let unknown keys pass. So each resource is handed to them as a proxy that notes which keys are looked at: a
// key at which a validator never looks is one that its schema does not know.
import { readFileSync } from "node:fs";

const schemas = "./node_modules/@kubernetes-models";
const operator = "prometheus-operator/_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1";
const gateway = "gateway-api/_schemas/IoK8sSigsGatewayApiApisV1";
const files = {
  ServiceMonitor: `${operator}ServiceMonitor.js`,
  PrometheusRule: `${operator}PrometheusRule.js`,
  ScaledObject: "keda/_schemas/ComGithubKedacoreKedaV2ApisKedaV1alpha1ScaledObject.js",
  HTTPRoute: `${gateway}HTTPRoute.js`,
  GRPCRoute: `${gateway}GRPCRoute.js`,
};

const isNode = (value) => value !== null && typeof value === "object";

function watched(node, path, seen) {
  return new Proxy(node, {
    get(target, key) {
      const value = target[key];
      if (typeof key !== "string" || !Object.hasOwn(target, key)) return value;
      seen.add(`${path}/${key}`);
      return isNode(value) ? watched(value, `${path}/${key}`, seen) : value;
    },
  });
}

function keys(node, path = "") {
  if (!isNode(node)) return [];
  return Object.keys(node).flatMap((key) => [`${path}/${key}`, ...keys(node[key], `${path}/${key}`)]);
}

const resources = JSON.parse(readFileSync(0, "utf8"));
const kinds = new Set();
for (const resource of resources) {
  const name = `${resource.kind} ${resource.metadata?.name}`;
  if (!(resource.kind in files)) throw new Error(`no schema is known for ${name}`);
  const { validate } = await import(`${schemas}/${files[resource.kind]}`);
  if (!validate(resource)) throw new Error(`${name}: ${JSON.stringify(validate.errors)}`);
  const seen = new Set();
  validate(watched(resource, "", seen));
  // What metadata holds is Kubernetes' affair, and none of it is looked at.
  const unknown = keys(resource).filter((key) => !seen.has(key) && !key.startsWith("/metadata/"));
  if (unknown.length) throw new Error(`${name}: unknown keys ${unknown.join(", ")}`);
  kinds.add(resource.kind);
}
const missing = Object.keys(files).filter((kind) => !kinds.has(kind));
if (missing.length) throw new Error(`there is no ${missing.join(", ")} to compare`);
console.log(`${resources.length} resources of ${[...kinds].sort().join(", ")}`);

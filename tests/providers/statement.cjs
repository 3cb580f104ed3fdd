// An app in front of which the gateway stands, and which checks signatures: verifies the statement in argv with the
// keys at an address, by a library that shares no code with the gateway, and prints what it says.
const { createRemoteJWKSet, jwtVerify } = require('jose');

const [keys, issuer, audience, statement] = process.argv.slice(2);
jwtVerify(statement, createRemoteJWKSet(new URL(keys)), { issuer, audience, algorithms: ['ES256'] })
  .then(({ payload }) => console.log(JSON.stringify(payload)))
  .catch((error) => {
    console.error(error.code);
    process.exit(1);
  });

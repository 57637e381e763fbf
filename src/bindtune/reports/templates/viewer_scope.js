// The scope of Mol*. It makes functions of text in two places: to fill a template, and to name a function. Both are done
// here without making code. WebAssembly is its encoder of films, which never starts.
{
  const templateFunction = function (...names) {
    const body = names.pop();
    const template = /^return `([^]*)`;$/.exec(body);
    if (template) {
      return (...values) => template[1].replace(/\$\{(\w+)\}/g, (_, name) => String(values[names.indexOf(name)]));
    }
    if (/^return function \w+\(\) \{\s*"use strict";\s*return body\.apply/.test(body)) return (named) => named;
    throw new Error("The viewer asked for code made of text.");
  };
  templateFunction.prototype = globalThis.Function.prototype;
  const never = () => new Promise(() => {});
  const replaced = { instantiate: never, instantiateStreaming: never, compile: never };
  const noWebAssembly = Object.assign(Object.create(globalThis.WebAssembly ?? null), replaced);
  globalThis.molstar = ((Function, WebAssembly) => {
/* the viewer's script */
    return molstar;
  })(templateFunction, noWebAssembly);
}
